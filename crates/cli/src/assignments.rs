//! Parses `NAME=value` lines in shell syntax. Nothing is executed and nothing is expanded.
//!
//! The env files and the script's old `config` have this format. Quotes, `export`, comments, values over several lines
//! and arrays are supported. Any other line becomes a [`Diagnostic`], and parsing resumes on the next line.
//!
//! The crate dotenvy does not fit: it expands `$`, which would change tokens, knows no arrays, and stops at the first
//! line that it cannot parse.

use std::fmt;
use std::ops::Range;

use kugetsu_domain::text::shell_quoted;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) name: String,
    pub(crate) value: Value,
    /// First line, counted from 1.
    pub(crate) line: usize,
    /// Byte range in the text, without the line break.
    pub(crate) range: Range<usize>,
    /// Whether a shell would expand a `$` or a backquote in the value. They are kept verbatim here.
    pub(crate) expands: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    /// The elements of `NAME=(a b [key]=c)`.
    List(Vec<Element>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) key: Option<String>,
    pub(crate) text: String,
}

/// A line that could not be parsed. It does not contain the text of the line, which may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Diagnostic {
    pub(crate) line: usize,
    pub(crate) message: &'static str,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

/// Whether `name` is a valid variable name: ASCII letters, digits and `_`, not starting with a digit.
pub(crate) fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Formats `NAME=value`, quoted so that [`parse`] and a shell both read the same value back.
pub(crate) fn format_assignment(name: &str, value: &str) -> String {
    let plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':' | '@' | '%' | '+' | ',' | '=');
    if value.chars().all(plain) {
        return format!("{name}={value}");
    }
    format!("{name}={}", shell_quoted(value))
}

/// Decodes UTF-8 line by line. A line that is not UTF-8 becomes an empty one with a diagnostic, so the other lines keep
/// their numbers.
pub(crate) fn decode(bytes: &[u8]) -> (String, Vec<Diagnostic>) {
    let (mut text, mut diagnostics) = (String::with_capacity(bytes.len()), Vec::new());
    for (number, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        match str::from_utf8(line) {
            Ok(line) => text.push_str(line),
            Err(_) => {
                diagnostics.push(Diagnostic { line: number + 1, message: "line ignored: not valid UTF-8" });
                text.push('\n');
            }
        }
    }
    (text, diagnostics)
}

pub(crate) fn parse(text: &str) -> (Vec<Assignment>, Vec<Diagnostic>) {
    // A byte order mark is three bytes long.
    let mut parser = Parser { text, at: if text.starts_with('\u{feff}') { 3 } else { 0 } };
    let (mut assignments, mut diagnostics) = (Vec::new(), Vec::new());
    loop {
        parser.skip_blank_and_comments();
        if parser.peek().is_none() {
            return (assignments, diagnostics);
        }
        let begin = parser.at;
        match parser.statement() {
            Ok(Some(assignment)) => assignments.push(assignment),
            Ok(None) => {}
            Err(message) => {
                diagnostics.push(Diagnostic { line: parser.line_of(begin), message });
                // An unterminated quote consumed the rest of the text. The lines after it may be valid, so resume there.
                parser.at = begin;
                parser.skip_line();
            }
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

/// A shell word, unquoted.
#[derive(Default)]
struct Word {
    text: String,
    /// Whether a shell would expand a part of it.
    expands: bool,
}

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn take(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.at += character.len_utf8();
        Some(character)
    }

    fn take_if(&mut self, accept: impl Fn(char) -> bool) -> bool {
        let accepted = self.peek().is_some_and(accept);
        if accepted {
            self.take();
        }
        accepted
    }

    fn line_of(&self, at: usize) -> usize {
        self.text[..at].bytes().filter(|byte| *byte == b'\n').count() + 1
    }

    fn skip_blanks(&mut self) {
        while self.take_if(|c| matches!(c, ' ' | '\t' | '\r')) {}
    }

    fn skip_line(&mut self) {
        while self.peek().is_some_and(|c| c != '\n') {
            self.take();
        }
    }

    /// Skips to the next statement, or to the next element of an array.
    fn skip_blank_and_comments(&mut self) {
        loop {
            while self.take_if(|c| c.is_whitespace() || c == ';') {}
            if self.peek() != Some('#') {
                return;
            }
            self.skip_line();
        }
    }

    fn name(&mut self) -> String {
        let begin = self.at;
        while self.take_if(|c| c.is_ascii_alphanumeric() || c == '_') {}
        self.text[begin..self.at].to_owned()
    }

    /// Returns `None` for a declaration without a value, such as `export NAME`.
    fn statement(&mut self) -> Result<Option<Assignment>, &'static str> {
        let begin = self.at;
        let mut declared = false;
        let mut name = self.name();
        while matches!(name.as_str(), "export" | "declare" | "typeset" | "readonly")
            && self.peek().is_some_and(|c| c == ' ' || c == '\t')
        {
            declared = true;
            self.skip_blanks();
            while self.take_if(|c| c == '-') {
                while self.take_if(|c| c.is_ascii_alphabetic()) {}
                self.skip_blanks();
            }
            name = self.name();
        }
        if !is_name(&name) {
            return Err("line ignored: not an assignment (NAME=value); nothing here is executed");
        }
        let spaced = self.peek().is_some_and(|c| c == ' ' || c == '\t');
        if spaced {
            self.skip_blanks();
        }
        if !self.take_if(|c| c == '=') {
            let ended = self.peek().is_none_or(|c| matches!(c, '\n' | '\r' | ';' | '#'));
            return if declared && ended {
                Ok(None)
            } else {
                Err("line ignored: not an assignment (NAME=value); nothing here is executed")
            };
        }
        if spaced {
            self.skip_blanks();
        }
        let (value, expands) = if self.take_if(|c| c == '(') {
            self.list()?
        } else {
            let word = self.word(|c| c.is_whitespace() || c == ';')?;
            (Value::Text(word.text), word.expands)
        };
        let end = self.at;
        self.check_end()?;
        Ok(Some(Assignment { name, value, line: self.line_of(begin), range: begin..end, expands }))
    }

    /// A value must be followed by the end of the line, a comment or another assignment.
    fn check_end(&mut self) -> Result<(), &'static str> {
        self.skip_blanks();
        let rest = &self.text[self.at..];
        if rest.is_empty() || rest.starts_with(['\n', ';', '#']) {
            return Ok(());
        }
        let follows = rest.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next().unwrap_or_default();
        if is_name(follows) && rest[follows.len()..].starts_with('=') {
            return Ok(());
        }
        Err("line ignored: a value with spaces must be quoted")
    }

    fn word(&mut self, ends: impl Fn(char) -> bool) -> Result<Word, &'static str> {
        let mut word = Word::default();
        while let Some(character) = self.peek().filter(|c| !ends(*c)) {
            self.take();
            match character {
                '\'' => self.single_quoted(&mut word)?,
                '"' => self.double_quoted(&mut word)?,
                '\\' => match self.take() {
                    Some('\n') => {}
                    Some(escaped) => word.text.push(escaped),
                    None => return Err("line ignored: backslash at the end of the file"),
                },
                character => word.plain(character),
            }
        }
        Ok(word)
    }

    fn single_quoted(&mut self, word: &mut Word) -> Result<(), &'static str> {
        loop {
            match self.take().ok_or("line ignored: unterminated '")? {
                '\'' => return Ok(()),
                character => word.text.push(character),
            }
        }
    }

    fn double_quoted(&mut self, word: &mut Word) -> Result<(), &'static str> {
        loop {
            match self.take().ok_or("line ignored: unterminated \"")? {
                '"' => return Ok(()),
                '\\' => match self.take().ok_or("line ignored: unterminated \"")? {
                    '\n' => {}
                    escaped @ ('"' | '\\' | '$' | '`') => word.text.push(escaped),
                    other => word.text.extend(['\\', other]),
                },
                character => word.plain(character),
            }
        }
    }

    fn list(&mut self) -> Result<(Value, bool), &'static str> {
        let (mut elements, mut expands) = (Vec::new(), false);
        loop {
            self.skip_blank_and_comments();
            match self.peek() {
                None => return Err("line ignored: unterminated ("),
                Some(')') => {
                    self.take();
                    return Ok((Value::List(elements), expands));
                }
                Some('[') => {
                    self.take();
                    let key = self.word(|c| matches!(c, ']' | '\n'))?;
                    if !(self.take_if(|c| c == ']') && self.take_if(|c| c == '=')) {
                        return Err("line ignored: an array element must be `[name]=value`");
                    }
                    let word = self.word(|c| c.is_whitespace() || c == ')')?;
                    expands |= key.expands || word.expands;
                    elements.push(Element { key: Some(key.text), text: word.text });
                }
                Some(_) => {
                    let word = self.word(|c| c.is_whitespace() || c == ')')?;
                    expands |= word.expands;
                    elements.push(Element { key: None, text: word.text });
                }
            }
        }
    }
}

impl Word {
    fn plain(&mut self, character: char) {
        self.expands |= matches!(character, '$' | '`');
        self.text.push(character);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        let (assignments, diagnostics) = parse(text);
        assert_eq!(diagnostics, [], "{text}");
        assignments
            .into_iter()
            .map(|one| match one.value {
                Value::Text(value) => (one.name, value),
                Value::List(list) => (one.name, format!("{list:?}")),
            })
            .collect()
    }

    #[test]
    fn assignments_parse_with_and_without_export() {
        let parsed = pairs(
            "\u{feff}# a comment\nA=1\nexport B=two # comment\n  export C='it''s $HOME'\r\nD=\"a \\\"b\\\" \\$c #d\"\n\
             E=a\\ b\nexport F\nG=\nH=1; I=2\ndeclare -x J=\"two\nlines\"\nK = spaced\nL=a#b\n",
        );
        let expected = [
            ("A", "1"),
            ("B", "two"),
            ("C", "its $HOME"),
            ("D", "a \"b\" $c #d"),
            ("E", "a b"),
            ("G", ""),
            ("H", "1"),
            ("I", "2"),
            ("J", "two\nlines"),
            ("K", "spaced"),
            ("L", "a#b"),
        ];
        assert_eq!(parsed, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn nothing_is_executed_or_expanded() {
        let (assignments, diagnostics) =
            parse("A=$(touch /x)y\nB=\"`id` $HOME\"\nC='$HOME'\nsource other\nif true; then\nrm -rf x\n");
        assert_eq!(diagnostics.iter().map(|one| one.line).collect::<Vec<_>>(), [1, 4, 5, 6]);
        assert_eq!(assignments.len(), 2);
        assert!(assignments[0].expands && assignments[0].value == Value::Text("`id` $HOME".to_owned()));
        assert!(!assignments[1].expands);
    }

    #[test]
    fn arrays_parse_in_every_form() {
        let (assignments, diagnostics) =
            parse("declare -A S=(\n  [\"a\"]=\"https://a\" # one\n  [b]=https://b\n)\nT=(x 'y z')\n");
        assert_eq!(diagnostics, []);
        let element = |key: Option<&str>, text: &str| Element { key: key.map(str::to_owned), text: text.to_owned() };
        assert_eq!(
            assignments[0].value,
            Value::List(vec![element(Some("a"), "https://a"), element(Some("b"), "https://b")])
        );
        assert_eq!(assignments[1].value, Value::List(vec![element(None, "x"), element(None, "y z")]));
        assert_eq!((assignments[0].line, assignments[1].line), (1, 5));
    }

    #[test]
    fn a_bad_line_is_reported_and_the_rest_is_parsed() {
        let (assignments, diagnostics) = parse("A=1\nB='open\nC=3\nD=hello world\n=x\nE=5");
        assert_eq!(diagnostics.iter().map(|one| one.line).collect::<Vec<_>>(), [2, 4, 5]);
        assert_eq!(assignments.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["A", "C", "E"]);
    }

    #[test]
    fn a_line_that_is_not_utf_8_is_reported_and_the_rest_is_parsed() {
        let (text, diagnostics) = decode(b"A=1\n# caf\xe9\nB=2\n");
        assert_eq!(diagnostics.iter().map(|one| one.line).collect::<Vec<_>>(), [2]);
        assert_eq!(
            parse(&text).0.iter().map(|one| (one.name.as_str(), one.line)).collect::<Vec<_>>(),
            [("A", 1), ("B", 3)]
        );
    }

    #[test]
    fn formatted_assignments_parse_back() {
        for value in ["", "plain", "two words", "it's", "$HOME `id` \"q\" \\", "line\nline", "#no", "ü~*"] {
            assert_eq!(pairs(&format_assignment("A", value)), [("A".to_owned(), value.to_owned())]);
        }
    }
}
