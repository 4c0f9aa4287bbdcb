//! Files: their length, their names, and what `lib.rs` and `mod.rs` may contain.

use std::path::Path;

use crate::ceilings;
use crate::repository::{assert_none, files, relative};
use crate::scanner::{Source, after_visibility, program, without_attributes};

/// Lines of code that a file may have, tests apart.
const LINES_MAX: usize = 600;

/// A file with fewer lines of code is short.
const LINES_FEW: usize = 40;

/// Names that say nothing, as whole words of a file's or a directory's name.
const EMPTY_NAMES: &[&str] =
    &["util", "utils", "helper", "helpers", "common", "manager", "service", "imp", "misc", "stuff"];

#[test]
fn lib_and_mod_only_declare_and_reexport() {
    let mut violations = Vec::new();
    for source in program().iter().filter(|source| source.is_face()) {
        let code: String = source.lines.iter().map(|line| format!("{}\n", line.code)).collect();
        let mut line = 1;
        for text in without_attributes(&code).split_inclusive(';') {
            let blank = &text[..text.len() - text.trim_start().len()];
            let first_line = line + blank.matches('\n').count();
            let statement = text.trim().trim_end_matches(';');
            let item = after_visibility(statement);
            let is_allowed = statement.is_empty()
                || item.starts_with("use ")
                || (item.starts_with("mod ") && !item.contains(['{', '(', '=']));
            if !is_allowed {
                violations.push(format!(
                    "{}:{first_line}: {}",
                    source.path,
                    statement.lines().next().unwrap_or_default()
                ));
            }
            line += text.matches('\n').count();
        }
    }
    assert_none(
        "lib.rs and mod.rs only declare modules and re-export; move the rest to a file with a name",
        &violations,
    );
}

#[test]
fn files_are_not_long() {
    let mut violations = Vec::new();
    for source in program() {
        let count = source.code_lines();
        if count > LINES_MAX {
            violations.push(format!("{}:1: {count} lines of code", source.path));
        }
    }
    assert_none(
        &format!("a file has at most {LINES_MAX} lines of code, tests apart; find the two subjects it has"),
        &violations,
    );
}

/// Folders with one file per subject, however short: a small command or effect is not a crumb.
const ONE_FILE_EACH: [&str; 2] = ["crates/cli/src/commands/", "crates/engine/src/effects/"];

/// Files of the program under [`LINES_FEW`] lines, without `lib.rs`, `mod.rs`, programs, and [`ONE_FILE_EACH`].
pub(crate) fn short_files() -> Vec<Source> {
    let is_entry = |path: &str| path.ends_with("/main.rs") || path.contains("/src/bin/");
    let is_exempt = |path: &str| is_entry(path) || ONE_FILE_EACH.iter().any(|folder| path.starts_with(folder));
    let sources = program().into_iter().filter(|source| !source.is_tool() && !source.is_face());
    sources.filter(|source| !is_exempt(&source.path) && source.code_lines() < LINES_FEW).collect()
}

#[test]
fn few_files_are_short() {
    let files = short_files();
    let list: Vec<String> = files.iter().map(|file| format!("\n  {}: {}", file.path, file.code_lines())).collect();
    ceilings::check(
        ceilings::SHORT_FILES,
        files.len(),
        &format!("merge a crumb into the file that uses it{}", list.concat()),
    );
}

#[test]
fn file_names_say_something() {
    let mut violations = Vec::new();
    for path in files() {
        let relative = relative(&path);
        let name = Path::new(&relative).with_extension("");
        let words = name.iter().flat_map(|part| part.to_str().unwrap_or_default().split(['_', '-', '.']));
        violations
            .extend(words.filter(|word| EMPTY_NAMES.contains(word)).map(|word| format!("{relative}:1: `{word}`")));
    }
    assert_none("a file is named after what it holds", &violations);
}
