//! Counts phrases that this project once overused (STYLE.md, "Language") in all text that people wrote: sources, names,
//! messages and pages. `ceilings.txt` holds the highest count that each phrase may have.

use std::collections::BTreeMap;

use crate::ceilings;
use crate::repository::{assert_none, texts};

/// The key of the doc comments that start with "What". Every other key is a list of phrases.
const DOC_WHAT: &str = "doc comments that start with What";

/// Files that list the phrases themselves.
const LISTS: [&str; 2] = [ceilings::PATH, "xtask/tests/tidy/language.rs"];

#[test]
fn overused_phrases_do_not_spread() {
    let mut violations = Vec::new();
    for (key, ceiling, hits) in measured() {
        let count = hits.values().sum::<usize>();
        if count > ceiling {
            let files: Vec<String> = hits.iter().map(|(path, count)| format!("{path} ({count})")).collect();
            violations.push(format!("{key}: {count} times, at most {ceiling} are allowed; in {}", files.join(", ")));
        }
    }
    assert_none("use the words of STYLE.md; `git diff main` shows the new sentences", &violations);
}

/// For each line of `[phrases]`: key, ceiling, and the number of hits in each file that has any.
pub(crate) fn measured() -> Vec<(String, usize, BTreeMap<String, usize>)> {
    let mut rows: Vec<_> =
        ceilings::section("phrases").into_iter().map(|(key, max)| (key, max, BTreeMap::new())).collect();
    for (path, text) in texts().filter(|(path, _)| !LISTS.contains(&path.as_str())) {
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

/// The words of a text in lower case, with one blank between two and a full stop where a sentence or a piece of code
/// ends. Line ends, comment marks and underscores are blanks, so that a phrase is also found across two lines of a
/// comment and in `a_test_name`. The method `is_none` is no phrase, called or named.
fn prose(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 1);
    out.push(' ');
    for c in text.replace("//!", "//").replace(".is_none", ".").replace("::is_none", ".").chars() {
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
    let method = prose("there is none; fn it_is_none() { x.is_none() && y.is_none_or(z); }");
    assert_eq!(occurrences(&method, "is none"), 2);
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
