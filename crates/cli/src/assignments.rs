//! Reads `NAME=value` lines as a shell writes them, without being one: nothing is executed and nothing substituted.
//!
//! Both the env files and the script's old `config` are such files. Quotes, `export`, comments, values over several
//! lines and arrays are understood; a line that is something else is set aside with a fault, and the rest is read (R1).

use std::fmt;
use std::ops::Range;

use kugetsu_domain::shell::quoted;

/// One assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) name: String,
    pub(crate) value: Value,
    /// The line it begins in, from 1.
    pub(crate) line: usize,
    /// Its bytes in the text, without the line's end.
    pub(crate) range: Range<usize>,
    /// A shell would have put something else in the place of a `$` or a backquote; here it stays as it is.
    pub(crate) expands: bool,
}

/// What is assigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    /// The elements of `NAME=(a b [key]=c)`.
    List(Vec<Element>),
}

/// One element of an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) key: Option<String>,
    pub(crate) text: String,
}

/// A line that is no assignment. It never holds the line's text, which may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) line: usize,
    pub(crate) why: &'static str,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

/// Whether a variable can have this name.
pub(crate) fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// `NAME=value` so that this reader, and a shell, read the same value.
pub(crate) fn written(name: &str, value: &str) -> String {
    let plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':' | '@' | '%' | '+' | ',' | '=');
    if value.chars().all(plain) {
        return format!("{name}={value}");
    }
    format!("{name}={}", quoted(value))
}

/// The text of a file's bytes. A line that is not UTF-8 is left out with a fault, so that the rest is read; it stays as an
/// empty one, and the others keep their numbers.
pub(crate) fn text(bytes: &[u8]) -> (String, Vec<Fault>) {
    let (mut text, mut faults) = (String::with_capacity(bytes.len()), Vec::new());
    for (number, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        match str::from_utf8(line) {
            Ok(line) => text.push_str(line),
            Err(_) => {
                faults.push(Fault { line: number + 1, why: "it is not UTF-8; it is left out" });
                text.push('\n');
            }
        }
    }
    (text, faults)
}

/// Reads a text.
pub(crate) fn read(text: &str) -> (Vec<Assignment>, Vec<Fault>) {
    let mut reader = Reader { text, at: if text.starts_with('\u{feff}') { 3 } else { 0 } };
    let (mut read, mut faults) = (Vec::new(), Vec::new());
    loop {
        reader.skip_between();
        if reader.peek().is_none() {
            return (read, faults);
        }
        let begin = reader.at;
        match reader.statement() {
            Ok(Some(assignment)) => read.push(assignment),
            Ok(None) => {}
            Err(why) => {
                faults.push(Fault { line: reader.line_of(begin), why });
                // An open quote has taken the rest of the text; what follows its line may be fine.
                reader.at = begin;
                reader.skip_line();
            }
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

/// A word and whether a shell would have expanded it.
#[derive(Default)]
struct Word {
    text: String,
    expands: bool,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn take(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.at += character.len_utf8();
        Some(character)
    }

    fn take_if(&mut self, wanted: impl Fn(char) -> bool) -> bool {
        let found = self.peek().is_some_and(wanted);
        if found {
            self.take();
        }
        found
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

    /// To the next statement, or the next element.
    fn skip_between(&mut self) {
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

    /// `Ok(None)` is a declaration without a value, such as `export NAME`.
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
            return Err("this is no assignment (NAME=value); it is left out, as nothing here is executed");
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
                Err("this is no assignment (NAME=value); it is left out, as nothing here is executed")
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

    /// After a value comes the line's end, a comment or another assignment.
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
        Err("a value with spaces must be in quotes; the line is left out")
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
                    None => return Err("it ends with a backslash"),
                },
                character => word.plain(character),
            }
        }
        Ok(word)
    }

    fn single_quoted(&mut self, word: &mut Word) -> Result<(), &'static str> {
        loop {
            match self.take().ok_or("a ' is never closed")? {
                '\'' => return Ok(()),
                character => word.text.push(character),
            }
        }
    }

    fn double_quoted(&mut self, word: &mut Word) -> Result<(), &'static str> {
        loop {
            match self.take().ok_or("a \" is never closed")? {
                '"' => return Ok(()),
                '\\' => match self.take().ok_or("a \" is never closed")? {
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
            self.skip_between();
            match self.peek() {
                None => return Err("a ( is never closed"),
                Some(')') => {
                    self.take();
                    return Ok((Value::List(elements), expands));
                }
                Some('[') => {
                    self.take();
                    let key = self.word(|c| matches!(c, ']' | '\n'))?;
                    if !(self.take_if(|c| c == ']') && self.take_if(|c| c == '=')) {
                        return Err("an element is not written as [name]=value");
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

    fn texts(text: &str) -> Vec<(String, String)> {
        let (read, faults) = read(text);
        assert_eq!(faults, [], "{text}");
        read.into_iter()
            .map(|one| match one.value {
                Value::Text(value) => (one.name, value),
                Value::List(list) => (one.name, format!("{list:?}")),
            })
            .collect()
    }

    #[test]
    fn assignments_are_read_with_and_without_export() {
        let pairs = texts(
            "\u{feff}# a comment\nA=1\nexport B=two # said\n  export C='it''s $HOME'\r\nD=\"a \\\"b\\\" \\$c #d\"\n\
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
        assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn nothing_is_executed_or_substituted() {
        let (read, faults) =
            read("A=$(touch /x)y\nB=\"`id` $HOME\"\nC='$HOME'\nsource other\nif true; then\nrm -rf x\n");
        assert_eq!(faults.iter().map(|fault| fault.line).collect::<Vec<_>>(), [1, 4, 5, 6]);
        assert_eq!(read.len(), 2);
        assert!(read[0].expands && read[0].value == Value::Text("`id` $HOME".to_owned()));
        assert!(!read[1].expands);
    }

    #[test]
    fn arrays_are_read_in_every_shape() {
        let (read, faults) = read("declare -A S=(\n  [\"a\"]=\"https://a\" # one\n  [b]=https://b\n)\nT=(x 'y z')\n");
        assert_eq!(faults, []);
        let element = |key: Option<&str>, text: &str| Element { key: key.map(str::to_owned), text: text.to_owned() };
        assert_eq!(read[0].value, Value::List(vec![element(Some("a"), "https://a"), element(Some("b"), "https://b")]));
        assert_eq!(read[1].value, Value::List(vec![element(None, "x"), element(None, "y z")]));
        assert_eq!((read[0].line, read[1].line), (1, 5));
    }

    #[test]
    fn a_bad_line_is_named_and_the_rest_is_read() {
        let (read, faults) = read("A=1\nB='open\nC=3\nD=hello world\n=x\nE=5");
        assert_eq!(faults.iter().map(|fault| fault.line).collect::<Vec<_>>(), [2, 4, 5]);
        assert_eq!(read.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["A", "C", "E"]);
    }

    #[test]
    fn a_line_that_is_not_text_is_named_and_the_rest_is_read() {
        let (text, faults) = text(b"A=1\n# caf\xe9\nB=2\n");
        assert_eq!(faults.iter().map(|fault| fault.line).collect::<Vec<_>>(), [2]);
        assert_eq!(
            read(&text).0.iter().map(|one| (one.name.as_str(), one.line)).collect::<Vec<_>>(),
            [("A", 1), ("B", 3)]
        );
    }

    #[test]
    fn what_is_written_is_read_back() {
        for value in ["", "plain", "two words", "it's", "$HOME `id` \"q\" \\", "line\nline", "#no", "ü~*"] {
            assert_eq!(texts(&written("A", value)), [("A".to_owned(), value.to_owned())]);
        }
    }
}
