//! Texts of all kinds: migrations, unfinished work, paths of one machine, and files that pages name.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use crate::repository::{assert_none, files, read, relative, root, texts};
use crate::scanner::has_word;

/// The object names of all shipped migrations.
const MIGRATIONS: &str = "xtask/tests/tidy/migrations.txt";

#[test]
fn shipped_migrations_never_change() {
    let list = read(&root().join(MIGRATIONS));
    let mut listed: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    for (index, line) in list.lines().enumerate().filter(|(_, line)| !line.starts_with('#') && !line.is_empty()) {
        let (id, path) = line.split_once("  ").unwrap();
        listed.insert(path, (index + 1, id));
    }
    let mut violations = Vec::new();
    let migrations = files().into_iter().filter(|path| {
        path.extension().is_some_and(|kind| kind == "sql") && path.iter().any(|part| part == "migrations")
    });
    for path in migrations {
        let relative = relative(&path);
        let id = blob(&path);
        match listed.remove(relative.as_str()) {
            None => violations.push(format!("{relative}:1: not in {MIGRATIONS}; add the line\n    {id}  {relative}")),
            Some((_, known)) if known != id => violations.push(format!(
                "{relative}:1: changed. If it was in a release, undo the change and add a new migration; \
                 if it never was, its line is now\n    {id}  {relative}"
            )),
            Some(_) => {}
        }
    }
    violations.extend(listed.iter().map(|(path, (line, _))| format!("{MIGRATIONS}:{line}: {path} is missing")));
    assert_none("a shipped migration never changes", &violations);
}

#[test]
fn no_work_is_left_for_later() {
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("unimple", "mented!"), concat!("to", "do!")];
    let found = lines_with(|line| marks.into_iter().filter(|mark| has_word(line, mark)).collect());
    assert_none("finish it, or leave it out and say so in the documentation", &found);
}

#[test]
fn no_path_of_one_machine_is_named() {
    let paths = [concat!("/wo", "rk/"), concat!("../sha", "red"), concat!("/ro", "ot/")];
    let found = lines_with(|line| paths.into_iter().filter(|path| line.contains(path)).collect());
    assert_none("the repository names no path of the machine it was written on", &found);
}

/// A violation for every line and mark that `marks_in` returns.
fn lines_with(marks_in: impl Fn(&str) -> Vec<&'static str>) -> Vec<String> {
    let mut violations = Vec::new();
    for (path, text) in texts() {
        for (index, line) in text.lines().enumerate() {
            violations.extend(marks_in(line).iter().map(|mark| format!("{path}:{}: {mark}", index + 1)));
        }
    }
    violations
}

/// Git's object name of a file's content. Git is needed anyway; a hash library is not.
fn blob(path: &Path) -> String {
    let output = Command::new("git").args(["hash-object", "--no-filters", "--"]).arg(path).output().unwrap();
    assert!(output.status.success(), "git hash-object {}", path.display());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn links_between_pages_lead_to_files() {
    let mut violations = Vec::new();
    for (path, text) in texts().filter(|(path, _)| path.ends_with(".md")) {
        let page = root().join(&path);
        for (index, line) in text.lines().enumerate() {
            for link in line.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
                let is_file = !link.is_empty() && !link.contains("://") && !link.starts_with("mailto:");
                if is_file && !page.with_file_name(link).exists() {
                    violations.push(format!("{path}:{}: {link}", index + 1));
                }
            }
        }
    }
    assert_none("links between pages lead to files that exist", &violations);
}

#[test]
fn source_files_that_pages_name_exist() {
    let mut violations = Vec::new();
    for (path, text) in texts().filter(|(path, _)| path.ends_with(".md")) {
        for (index, line) in text.lines().enumerate() {
            // Every other part is between backticks.
            for name in line.split('`').skip(1).step_by(2).filter(|name| names_source_file(name)) {
                if !root().join(name).exists() && !root().join("crates").join(name).exists() {
                    violations.push(format!("{path}:{}: {name}", index + 1));
                }
            }
        }
    }
    assert_none("a page names source files that exist, such as `cli/src/ui.rs`", &violations);
}

/// Whether the text is a path such as `cli/src/ui.rs` or `crates/cli/src/`, without a placeholder or alternatives.
fn names_source_file(text: &str) -> bool {
    let is_plain = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-'));
    is_plain && text.contains("/src/")
}
