//! Counts phrases that this project once overused (STYLE.md, "Language") in all text that people wrote: sources, names,
//! messages and pages. `ceilings.txt` holds the highest count that each phrase may have.

#![expect(clippy::unwrap_used, reason = "a test that cannot read the sources has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const CEILINGS: &str = "xtask/tests/ceilings.txt";

/// The key of the doc comments that start with "What". Every other key is a list of phrases.
const DOC_WHAT: &str = "doc comments that start with What";

/// Files that list the phrases themselves.
const LISTS: [&str; 2] = [CEILINGS, "xtask/tests/language.rs"];

#[test]
fn marker_phrases_do_not_spread() {
    let mut faults = Vec::new();
    for (key, ceiling, hits) in measured() {
        let count = hits.values().sum::<usize>();
        if count > ceiling {
            let files: Vec<String> = hits.iter().map(|(path, count)| format!("{path} ({count})")).collect();
            faults.push(format!("{key}: {count} times, at most {ceiling} are allowed; in {}", files.join(", ")));
        }
    }
    assert!(
        faults.is_empty(),
        "use the words of STYLE.md instead (`git diff main` shows the new ones):\n  {}",
        faults.join("\n  ")
    );
}

#[test]
#[ignore = "counts fall daily while the text is rewritten; run it to lower the ceilings"]
fn ceilings_of_phrases_are_the_counts() {
    let faults: Vec<String> = measured()
        .into_iter()
        .map(|(key, ceiling, hits)| (key, ceiling, hits.values().sum::<usize>()))
        .filter(|(_, ceiling, count)| count < ceiling)
        .map(|(key, _, count)| format!("{key} = {count}"))
        .collect();
    assert!(faults.is_empty(), "fewer than before: lower the ceilings in {CEILINGS} to\n{}", faults.join("\n"));
}

/// For each line of `[phrases]`: key, ceiling, and the number of hits in each file that has any.
fn measured() -> Vec<(String, usize, BTreeMap<String, usize>)> {
    let mut rows: Vec<_> = ceilings("phrases").into_iter().map(|(key, max)| (key, max, BTreeMap::new())).collect();
    for (path, text) in texts() {
        let prose = prose(&text);
        for (key, _, hits) in &mut rows {
            let count = match key.as_str() {
                DOC_WHAT => docs_with_what(&text),
                phrases => phrases.split(',').map(|phrase| occurrences(&prose, phrase.trim())).sum(),
            };
            if count > 0 {
                hits.insert(path.clone(), count);
            }
        }
    }
    rows
}

/// The lines `key = number` of one section.
fn ceilings(section: &str) -> Vec<(String, usize)> {
    let text = fs::read_to_string(root().join(CEILINGS)).unwrap();
    let body = text.split(&format!("[{section}]\n")).nth(1).unwrap();
    let lines = body.lines().take_while(|line| !line.starts_with('['));
    lines
        .filter_map(|line| line.split_once('='))
        .map(|(key, number)| (key.trim().to_owned(), number.trim().parse().unwrap()))
        .collect()
}

/// Every text of the repository with its path: not the lock file and not recorded data.
fn texts() -> Vec<(String, String)> {
    let list = ["ls-files", "--cached", "--others", "--exclude-standard", "-z"];
    // The checkout may belong to another user, as in a container.
    let output = Command::new("git").args(["-c", "safe.directory=*"]).args(list).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let paths = String::from_utf8(output.stdout).unwrap();
    let mut paths: Vec<&str> = paths.split_terminator('\0').collect();
    paths.sort_unstable();
    paths.dedup();
    paths
        .into_iter()
        .filter(|path| !path.ends_with("Cargo.lock") && !LISTS.contains(path))
        .filter(|path| !path.contains("/tests/data/") || path.ends_with("messages.txt"))
        .filter_map(|path| Some((path.to_owned(), fs::read_to_string(root().join(path)).ok()?)))
        .collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The words of a text in lower case, with one blank between two and a full stop where a sentence or a piece of code
/// ends. Line ends, comment marks and underscores are blanks, so that a phrase is also found across two lines of a
/// comment and in `a_test_name`.
fn prose(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 1);
    out.push(' ');
    for c in text.replace("//!", "//").chars() {
        match c {
            c if c.is_ascii() && (c.is_ascii_alphanumeric() || c == '\'') => out.push(c.to_ascii_lowercase()),
            c if c.is_alphanumeric() => out.extend(c.to_lowercase()),
            '.' | ';' | ':' | '!' | '?' | '"' | '(' | ')' | '{' | '}' | '|' => {
                out.push_str(if out.ends_with(' ') { ". " } else { " . " });
            }
            _ if out.ends_with(' ') => {}
            _ => out.push(' '),
        }
    }
    out.push(' ');
    out
}

fn occurrences(prose: &str, phrase: &str) -> usize {
    let phrase = format!(" {phrase} ");
    let (mut count, mut rest) = (0, prose);
    // The blank behind a hit may be the one before the next.
    while let Some(at) = rest.find(&phrase) {
        count += 1;
        rest = &rest[at + phrase.len() - 1..];
    }
    count
}

fn docs_with_what(text: &str) -> usize {
    let mark = |line: &str| ["///", "//!"].into_iter().find(|mark| line.trim_start().starts_with(mark));
    let lines: Vec<&str> = text.lines().collect();
    let starts = (0..lines.len()).filter(|index| {
        let Some(own) = mark(lines[*index]) else { return false };
        let is_first = *index == 0 || mark(lines[index - 1]) != Some(own);
        is_first && prose(&lines[*index].trim_start()[own.len()..]).starts_with(" what ")
    });
    starts.count()
}

#[test]
fn phrases_are_found_across_lines_and_in_names() {
    let text = "/// What it is. It goes\n    /// on, and\n//! goes on\nfn nobody_is_told() {}\n/// Is told. Of\n";
    let prose = prose(text);
    assert_eq!(occurrences(&prose, "goes on"), 2);
    assert_eq!(occurrences(&prose, "nobody"), 1);
    assert_eq!(occurrences(&prose, "is told"), 2);
    assert_eq!(occurrences(&prose, "told of"), 0, "a sentence ends between them");
    assert_eq!(occurrences(" a a a ", "a"), 3);
    assert_eq!(docs_with_what(text), 1);
    assert_eq!(docs_with_what("/// A rule,\n/// what else.\n    /// What is left.\n"), 0);
    assert_eq!(docs_with_what("/// A.\nfn a() {}\n/// What\n/// is left.\n//! What\n"), 2);
}
