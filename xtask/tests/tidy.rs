//! The rules of the house that a test can keep. Each rule is one test; its message says where and what to do.
//!
//! Text is read with a small scanner that knows comments, strings and test modules, not with a parser: enough for
//! rustfmt's output, which `cargo xtask lint` makes sure of.

#![expect(clippy::unwrap_used, reason = "a test that cannot read the sources has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Which of our crates each one imports. A new arrow is a decision: change this and the reason for it together.
const ARROWS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("process", &[]),
    ("store", &["domain"]),
    ("forge", &["domain"]),
    ("git", &["domain", "process"]),
    ("agent", &["process"]),
    ("api", &[]),
    ("engine", &["agent", "api", "domain", "forge", "git", "process", "store"]),
    ("web", &["api", "domain", "engine", "process", "store"]),
    ("cli", &["agent", "api", "domain", "engine", "forge", "git", "process", "store", "web"]),
    ("testkit", &[]),
    ("xtask", &[]),
];

/// From the ground up. No arrow goes up, or sideways on one floor.
const FLOORS: &[&[&str]] =
    &[&["domain"], &["process"], &["store", "forge", "git", "agent", "api"], &["engine"], &["web"], &["cli"]];

/// Code lines a file may have, tests apart.
const LINES_MAX: usize = 600;

/// Names that say nothing, as whole words of a file's or a directory's name.
const EMPTY_NAMES: &[&str] =
    &["util", "utils", "helper", "helpers", "common", "manager", "service", "imp", "misc", "stuff"];

/// The only file that prints. `testkit` and `xtask` are tools of ours, not part of the program.
const PRINTS: &str = "crates/cli/src/ui.rs";

#[test]
fn arrows_between_crates_are_those_that_were_decided() {
    let mut faults = Vec::new();
    let mut expected: BTreeMap<&str, BTreeSet<&str>> =
        ARROWS.iter().map(|(name, arrows)| (*name, arrows.iter().copied().collect())).collect();
    for (name, found) in arrows("") {
        match expected.remove(name.as_str()) {
            None => faults.push(format!("{}: a new crate; give it its line in ARROWS", manifest(&name))),
            Some(wanted) => {
                let found: BTreeSet<&str> = found.iter().map(String::as_str).collect();
                if found != wanted {
                    faults.push(format!(
                        "{}: imports {found:?}, but ARROWS says {wanted:?}; change one of them",
                        manifest(&name)
                    ));
                }
            }
        }
    }
    faults
        .extend(expected.keys().map(|gone| format!("{}: not a crate any more; remove it from ARROWS", manifest(gone))));
    none("crates import exactly what was decided (ARROWS in xtask/tests/tidy.rs)", &faults);
}

#[test]
fn arrows_between_crates_go_only_down() {
    let floor = |name: &str| FLOORS.iter().position(|crates| crates.contains(&name));
    let mut faults = Vec::new();
    for (name, found) in arrows("").into_iter().chain(arrows("dev")).chain(arrows("build")) {
        for other in found {
            let down = match (floor(&name), floor(&other)) {
                (Some(from), Some(to)) => to < from,
                // Tests of a crate may use the testkit, and the tools may use everything; nothing uses the tools.
                (Some(_), None) => other == "testkit" && !normal_arrow(&name, &other),
                (None, _) => name == "xtask",
            };
            if !down {
                faults.push(format!("{}: {name} imports {other}", manifest(&name)));
            }
        }
    }
    none(
        "imports between crates go down: domain < process < store, forge, git, agent, api < engine < web < cli",
        &faults,
    );
}

#[test]
fn faces_declare_and_reexport_only() {
    let mut faults = Vec::new();
    for source in program().iter().filter(|source| source.is_face()) {
        let code: String = source.lines.iter().map(|line| format!("{}\n", line.code)).collect();
        let mut at = 1;
        for statement in without_attributes(&code).split_inclusive(';') {
            let blank = &statement[..statement.len() - statement.trim_start().len()];
            let begins = at + blank.matches('\n').count();
            let words = statement.trim().trim_end_matches(';');
            let word = after_visibility(words);
            let harmless = words.is_empty()
                || word.starts_with("use ")
                || (word.starts_with("mod ") && !word.contains(['{', '(', '=']));
            if !harmless {
                faults.push(format!("{}:{begins}: {}", source.path, words.lines().next().unwrap_or_default()));
            }
            at += statement.matches('\n').count();
        }
    }
    none("lib.rs and mod.rs only declare modules and re-export; put the rest into a file with a name", &faults);
}

#[test]
fn files_stay_short() {
    let mut faults = Vec::new();
    for source in program() {
        let count = source.lines.iter().filter(|line| !line.in_test && !line.code.trim().is_empty()).count();
        if count > LINES_MAX {
            faults.push(format!("{}:1: {count} lines of code", source.path));
        }
    }
    none(&format!("a file has at most {LINES_MAX} lines of code (tests apart); find the two things it is"), &faults);
}

#[test]
fn names_say_what_a_file_holds() {
    let mut faults = Vec::new();
    for path in everything() {
        let relative = relative(&path);
        let name = Path::new(&relative).with_extension("");
        let words = name.iter().flat_map(|part| part.to_str().unwrap_or_default().split(['_', '-', '.']));
        faults.extend(words.filter(|word| EMPTY_NAMES.contains(word)).map(|word| format!("{relative}:1: `{word}`")));
    }
    none("no file is called by a word that says nothing; name it after what it holds", &faults);
}

#[test]
fn only_the_user_interface_prints() {
    let mut faults = Vec::new();
    for source in program().iter().filter(|source| !source.is_tool() && source.path != PRINTS) {
        for line in source.lines.iter().filter(|line| !line.in_test) {
            for macro_name in ["println", "eprintln", "print", "eprint", "dbg"] {
                if calls_macro(&line.code, macro_name) {
                    faults.push(format!("{}:{}: {macro_name}!", source.path, line.number));
                }
            }
        }
    }
    none(&format!("only {PRINTS} prints; elsewhere return it, or use `tracing`"), &faults);
}

#[test]
fn who_may_panic_says_why() {
    /// An attribute stands this close above what it allows.
    const NEAR: usize = 10;
    let mut faults = Vec::new();
    for source in program().iter().filter(|source| !source.path.starts_with("crates/testkit/")) {
        for (index, line) in source.lines.iter().enumerate().filter(|(_, line)| !line.in_test) {
            for (call, lint) in [(".unwrap()", "unwrap_used"), (".expect(", "expect_used")] {
                let above = &source.lines[index.saturating_sub(NEAR)..=index];
                let excused = above.iter().any(|line| line.raw.contains(lint))
                    && above.iter().any(|line| line.raw.contains("reason = "));
                if line.code.contains(call) && !excused {
                    faults.push(format!("{}:{}: {call}", source.path, line.number));
                }
            }
        }
    }
    none(
        "no unwrap or expect outside tests without `#[expect(clippy::..., reason = \"...\")]` right above it; \
         return an error",
        &faults,
    );
}

#[test]
fn shipped_migrations_never_change() {
    let list = read(&root().join("xtask/tests/migrations.txt"));
    let mut listed: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    for (index, line) in list.lines().enumerate().filter(|(_, line)| !line.starts_with('#') && !line.is_empty()) {
        let (id, path) = line.split_once("  ").unwrap();
        listed.insert(path, (index + 1, id));
    }
    let mut faults = Vec::new();
    let migrations = everything().into_iter().filter(|path| {
        path.extension().is_some_and(|kind| kind == "sql") && path.iter().any(|part| part == "migrations")
    });
    for path in migrations {
        let relative = relative(&path);
        let id = blob(&path);
        match listed.remove(relative.as_str()) {
            None => faults
                .push(format!("{relative}:1: not in xtask/tests/migrations.txt; add the line\n    {id}  {relative}")),
            Some((_, known)) if known != id => faults.push(format!(
                "{relative}:1: changed. If it was in any release, undo that and add a new step behind it; \
                 if it never was, its line is now\n    {id}  {relative}"
            )),
            Some(_) => {}
        }
    }
    faults.extend(listed.iter().map(|(path, (line, _))| format!("xtask/tests/migrations.txt:{line}: {path} is gone")));
    none("a migration that was shipped never changes", &faults);
}

#[test]
fn nothing_is_left_for_later() {
    let words = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("unimple", "mented!"), concat!("to", "do!")];
    let mut faults = Vec::new();
    each_line(|path, number, line| {
        faults
            .extend(words.iter().filter(|word| holds_word(line, word)).map(|word| format!("{path}:{number}: {word}")));
    });
    none("nothing pretends to be there: finish it, or leave it out and say so in the documentation", &faults);
}

#[test]
fn nothing_names_a_private_place() {
    let places = [concat!("/wo", "rk/"), concat!("../sha", "red"), concat!("/ro", "ot/")];
    let mut faults = Vec::new();
    each_line(|path, number, line| {
        faults.extend(
            places.iter().filter(|place| line.contains(**place)).map(|place| format!("{path}:{number}: {place}")),
        );
    });
    none("nothing in the repository names a place of the machine it was written on", &faults);
}

#[test]
fn every_dependency_comes_from_crates_io() {
    let mut faults = Vec::new();
    for (index, line) in read(&root().join("Cargo.lock")).lines().enumerate() {
        if let Some(source) = line.strip_prefix("source = ")
            && source.trim_matches('"') != "registry+https://github.com/rust-lang/crates.io-index"
        {
            faults.push(format!("Cargo.lock:{}: {source}", index + 1));
        }
    }
    none("every dependency comes from crates.io", &faults);
}

#[test]
fn every_crate_keeps_the_lints_of_the_workspace() {
    let mut faults = Vec::new();
    for package in metadata()["packages"].as_array().unwrap() {
        let path = PathBuf::from(package["manifest_path"].as_str().unwrap());
        let text = read(&path);
        let table = text.split("[lints]").nth(1).and_then(|rest| rest.trim_start().lines().next());
        if table.map(str::trim) != Some("workspace = true") {
            faults.push(format!("{}:1", relative(&path)));
        }
    }
    none("every Cargo.toml says `[lints]` and `workspace = true`", &faults);
}

#[test]
fn an_exception_has_its_reason() {
    let mut faults = Vec::new();
    for source in sources(&["src", "tests", "benches"]) {
        for (index, line) in source.lines.iter().enumerate() {
            let begins = ["#[allow(", "#![allow(", "#[expect(", "#![expect("];
            if begins.iter().any(|begin| line.code.trim_start().starts_with(begin)) {
                let attribute: String = source.lines[index..].iter().take(6).map(|line| line.raw.as_str()).collect();
                if !attribute.split(")]").next().unwrap_or_default().contains("reason = ") {
                    faults.push(format!("{}:{}", source.path, line.number));
                }
            }
        }
    }
    none("`allow` and `expect` of a lint say `reason = \"...\"`", &faults);
}

/// Passes without faults, and lists them all otherwise.
fn none(rule: &str, faults: &[String]) {
    let list = faults.iter().fold(String::new(), |mut list, fault| {
        let _ = write!(list, "\n  {fault}");
        list
    });
    assert!(faults.is_empty(), "the rule: {rule}{list}");
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).to_string_lossy().into_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file of the repository, also the new ones that git does not ignore.
fn everything() -> Vec<PathBuf> {
    let list = ["ls-files", "--cached", "--others", "--exclude-standard", "-z"];
    // The checkout may belong to another user, as in a container.
    let output = Command::new("git").args(["-c", "safe.directory=*"]).args(list).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let paths = String::from_utf8(output.stdout).unwrap();
    let mut paths: Vec<PathBuf> = paths.split_terminator('\0').map(|path| root().join(path)).collect();
    paths.sort();
    paths.dedup();
    // A file that was removed and not yet committed is still listed.
    paths.retain(|path| path.is_file());
    paths
}

/// Every line of every text that people wrote: not the lock file, not recorded data.
fn each_line(mut look: impl FnMut(&str, usize, &str)) {
    for path in everything() {
        let relative = relative(&path);
        let Ok(text) = fs::read_to_string(&path) else { continue };
        if relative == "Cargo.lock" || relative.contains("/tests/data/") {
            continue;
        }
        text.lines().enumerate().for_each(|(index, line)| look(&relative, index + 1, line));
    }
}

/// The git object name of a file's content: git is at hand, a hash library is not.
fn blob(path: &Path) -> String {
    let output = Command::new("git").args(["hash-object", "--no-filters", "--"]).arg(path).output().unwrap();
    assert!(output.status.success(), "git hash-object {}", path.display());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// For every crate, which of ours it imports: `""` for its own sake, `dev` for its tests, `build` for its build script.
fn arrows(kind: &str) -> Vec<(String, BTreeSet<String>)> {
    let short = |name: &str| match name {
        "kugetsu" => Some("cli".to_owned()),
        "xtask" => Some("xtask".to_owned()),
        name => name.strip_prefix("kugetsu-").map(str::to_owned),
    };
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .map(|package| {
            let found = package["dependencies"].as_array().unwrap().iter();
            let found = found
                .filter(|found| found["kind"].as_str().unwrap_or_default() == kind && !found["path"].is_null())
                .filter_map(|found| short(found["name"].as_str().unwrap()));
            (short(package["name"].as_str().unwrap()).unwrap(), found.collect())
        })
        .collect()
}

fn normal_arrow(from: &str, to: &str) -> bool {
    arrows("").iter().any(|(name, found)| name == from && found.contains(to))
}

fn manifest(name: &str) -> String {
    if name == "xtask" { "xtask/Cargo.toml".to_owned() } else { format!("crates/{name}/Cargo.toml") }
}

/// A source file, scanned.
struct Source {
    path: String,
    lines: Vec<Line>,
}

struct Line {
    number: usize,
    raw: String,
    /// Without comments and without what stands in strings.
    code: String,
    /// Inside of `#[cfg(test)]`.
    in_test: bool,
}

impl Source {
    fn is_face(&self) -> bool {
        self.path.ends_with("/lib.rs") || self.path.ends_with("/mod.rs")
    }

    fn is_tool(&self) -> bool {
        self.path.starts_with("xtask/") || self.path.starts_with("crates/testkit/")
    }
}

/// What the program is made of.
fn program() -> Vec<Source> {
    sources(&["src"])
}

/// Rust files in these directories of every crate.
fn sources(directories: &[&str]) -> Vec<Source> {
    let in_one = |path: &str| {
        let mut parts = path.split('/');
        let directory = if parts.next() == Some("crates") { parts.nth(1) } else { parts.next() };
        directory.is_some_and(|directory| directories.contains(&directory))
    };
    let files = everything().into_iter().filter(|path| path.extension().is_some_and(|kind| kind == "rs"));
    files
        .filter(|path| in_one(&relative(path)))
        .map(|path| Source { path: relative(&path), lines: scan(&read(&path)) })
        .collect()
}

fn scan(text: &str) -> Vec<Line> {
    let code = blanked(text);
    let mut lines = Vec::new();
    let (mut depth, mut test_until) = (0_i64, None);
    let mut awaiting = false;
    for (index, (raw, code)) in text.lines().zip(code.lines()).enumerate() {
        awaiting |= test_until.is_none() && code.trim_start().starts_with("#[cfg(test)]");
        let in_test = awaiting || test_until.is_some();
        for c in code.chars() {
            match c {
                '{' => {
                    depth += 1;
                    if awaiting {
                        (awaiting, test_until) = (false, Some(depth));
                    }
                }
                '}' => {
                    if test_until == Some(depth) {
                        test_until = None;
                    }
                    depth -= 1;
                }
                ';' if awaiting => awaiting = false,
                _ => {}
            }
        }
        lines.push(Line { number: index + 1, raw: raw.to_owned(), code: code.to_owned(), in_test });
    }
    lines
}

/// The text with blanks for comments and for what stands in strings and characters. Lines stay lines.
fn blanked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let (kept, length) = token(rest, out.chars().next_back());
        let (whole, after) = rest.split_at(length.max(c.len_utf8()));
        let blank = |c: char| if c == '\n' { '\n' } else { ' ' };
        out.push_str(&whole[..kept]);
        out.extend(whole[kept..].chars().map(blank));
        rest = after;
    }
    out
}

/// How long the next piece of the text is, and how much of its beginning is code.
fn token(rest: &str, before: Option<char>) -> (usize, usize) {
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let until = |end: &str, from: usize| rest[from..].find(end).map_or(rest.len(), |at| from + at + end.len());
    if rest.starts_with("//") {
        return (0, rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return (0, until("*/", 2));
    }
    let raw = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r')).or_else(|| rest.strip_prefix("cr"));
    if let Some(raw) = raw.filter(|_| !in_word) {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let begin = rest.len() - raw.len() + hashes + 1;
            return (1, until(&format!("\"{}", "#".repeat(hashes)), begin));
        }
    }
    if rest.starts_with('"') {
        return (1, closing(rest, '"'));
    }
    if let Some(after) = rest.strip_prefix('\'') {
        let mut inside = after.chars();
        let is_character = matches!((inside.next(), inside.next()), (Some('\\'), _) | (Some(_), Some('\'')));
        return if is_character { (1, closing(rest, '\'')) } else { (1, 1) };
    }
    let length = rest.chars().next().map_or(0, char::len_utf8);
    (length, length)
}

/// Where the string or character ends that begins here.
fn closing(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

/// The code with blanks for `#[...]` and `#![...]`.
fn without_attributes(code: &str) -> String {
    let mut out = String::with_capacity(code.len());
    let mut depth = 0_usize;
    let mut characters = code.chars().peekable();
    while let Some(c) = characters.next() {
        let begins = c == '#' && matches!(characters.peek(), Some('[' | '!'));
        match c {
            '[' if depth > 0 => depth += 1,
            ']' if depth > 1 => depth -= 1,
            _ => {}
        }
        if begins && depth == 0 {
            // Closed by the bracket that brings it back to one.
            depth = 1;
        }
        let closes = c == ']' && depth == 1;
        out.push(if depth > 0 && c != '\n' { ' ' } else { c });
        if closes {
            depth = 0;
        }
    }
    out
}

/// The statement without `pub`, `pub(crate)`, `pub(super)` before it.
fn after_visibility(words: &str) -> &str {
    let Some(rest) = words.strip_prefix("pub") else { return words };
    let rest = rest.trim_start();
    match rest.strip_prefix('(') {
        Some(inside) => inside.split_once(')').map_or(rest, |(_, rest)| rest.trim_start()),
        None => rest,
    }
}

fn calls_macro(code: &str, name: &str) -> bool {
    let called = format!("{name}!");
    code.match_indices(&called).any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
}

/// The word, not as a part of a longer one.
fn holds_word(line: &str, word: &str) -> bool {
    let in_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].ends_with(in_word) && (word.ends_with('!') || !line[at + word.len()..].starts_with(in_word))
    })
}

#[test]
fn the_scanner_knows_comments_strings_and_tests() {
    let text = r##"let a = "println!{"; // println!
let b = r#"".unwrap() "#; let c = '"'; let d = '\''; fn e<'a>() {}
/* { */ f.unwrap();
#[cfg(test)]
mod tests {
    fn g() { h.unwrap() }
}
i();
"##;
    let lines = scan(text);
    assert!(!calls_macro(&lines[0].code, "println") && lines[0].code.contains("let a = \""));
    assert!(!lines[1].code.contains(".unwrap()") && lines[1].code.contains("fn e<'a>() {}"));
    assert!(lines[2].code.contains("f.unwrap()") && !lines[2].code.contains('{'));
    let in_test: Vec<bool> = lines.iter().map(|line| line.in_test).collect();
    assert_eq!(in_test, [false, false, false, true, true, true, true, false]);
    assert_eq!(without_attributes("#![a(b[1])]\n#[c]\nmod d;").trim(), "mod d;");
    assert_eq!(after_visibility("pub(crate) use a::b"), "use a::b");
    assert_eq!(after_visibility("pub mod a"), "mod a");
}
