//! A small scanner for Rust that knows comments, strings and test modules. It is no parser: it relies on rustfmt's output,
//! which `cargo xtask lint` checks.

use crate::repository::{files, read, relative};

pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) lines: Vec<Line>,
}

pub(crate) struct Line {
    /// Counted from 1.
    pub(crate) number: usize,
    pub(crate) raw: String,
    /// `raw` with blanks instead of comments and the contents of strings.
    pub(crate) code: String,
    /// Within a `#[cfg(test)]` item.
    pub(crate) in_test: bool,
}

impl Source {
    /// Whether the file is a `lib.rs` or `mod.rs`, which only declare and re-export.
    pub(crate) fn is_face(&self) -> bool {
        self.path.ends_with("/lib.rs") || self.path.ends_with("/mod.rs")
    }

    /// Whether the file belongs to a development tool rather than to the program.
    pub(crate) fn is_tool(&self) -> bool {
        self.path.starts_with("xtask/") || self.path.starts_with("crates/testkit/")
    }

    /// Number of lines with code, tests apart.
    pub(crate) fn code_lines(&self) -> usize {
        self.lines.iter().filter(|line| !line.in_test && !line.code.trim().is_empty()).count()
    }
}

/// Sources of the program and its tools, without the integration tests.
pub(crate) fn program() -> Vec<Source> {
    sources(&["src"])
}

/// Rust files in these directories of every crate.
pub(crate) fn sources(directories: &[&str]) -> Vec<Source> {
    let is_in_one = |path: &str| {
        let mut parts = path.split('/');
        let directory = if parts.next() == Some("crates") { parts.nth(1) } else { parts.next() };
        directory.is_some_and(|directory| directories.contains(&directory))
    };
    let rust = files().into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    rust.filter(|path| is_in_one(&relative(path)))
        .map(|path| Source { path: relative(&path), lines: scan(&read(&path)) })
        .collect()
}

pub(crate) fn scan(text: &str) -> Vec<Line> {
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

/// Replaces comments and the contents of string and character literals by blanks. Line breaks are kept.
fn blanked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let (kept, length) = token_length(rest, out.chars().next_back());
        let (token, after) = rest.split_at(length.max(c.len_utf8()));
        let blank = |c: char| if c == '\n' { '\n' } else { ' ' };
        out.push_str(&token[..kept]);
        out.extend(token[kept..].chars().map(blank));
        rest = after;
    }
    out
}

/// Length in bytes of the first token of `rest` and of the part of it to keep. `before` is the character that precedes it.
fn token_length(rest: &str, before: Option<char>) -> (usize, usize) {
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

/// Length of the literal that `rest` starts with, both quotes included.
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

/// Replaces `#[...]` and `#![...]` by blanks.
pub(crate) fn without_attributes(code: &str) -> String {
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
            // Ends at the bracket that would take it from 1 to 0.
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

/// The statement without a leading `pub`, `pub(crate)` or `pub(super)`.
pub(crate) fn after_visibility(statement: &str) -> &str {
    let Some(rest) = statement.strip_prefix("pub") else { return statement };
    let rest = rest.trim_start();
    match rest.strip_prefix('(') {
        Some(inside) => inside.split_once(')').map_or(rest, |(_, rest)| rest.trim_start()),
        None => rest,
    }
}

pub(crate) fn calls_macro(code: &str, name: &str) -> bool {
    let called = format!("{name}!");
    code.match_indices(&called).any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
}

/// Whether the line contains `word`, not as part of a longer word.
pub(crate) fn has_word(line: &str, word: &str) -> bool {
    let in_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].ends_with(in_word) && (word.ends_with('!') || !line[at + word.len()..].starts_with(in_word))
    })
}

#[test]
fn scanner_recognizes_comments_strings_and_tests() {
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
