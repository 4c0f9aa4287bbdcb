//! The terminal: the only place that prints and asks.
//!
//! Much of what is shown was written by others: agents, repositories, servers. So every text is cleaned of what a
//! terminal would obey, here, and colors are added afterwards. Results go to stdout, everything else to stderr.

#![expect(clippy::print_stderr, reason = "this is the one place that prints")]

use std::fmt::Write as _;
use std::io::{self, BufRead, IsTerminal, Write};
use std::process;
use std::sync::OnceLock;

use clap::builder::StyledStr;
use serde::Serialize;
use terminal_size::{Width, terminal_size};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::table;

/// What a shell reports of a program that SIGPIPE ended: whoever reads stdout had enough.
const READER_IS_GONE: i32 = 141;
/// How wide a terminal is taken to be that does not say so.
const WIDTH: usize = 80;

/// How a text is shown where there are colors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Bad,
    Warning,
    Dim,
    Strong,
}

impl Tone {
    /// The parameters of the terminal's sequence "select graphic rendition" (ECMA-48, 8.3.117).
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Good => "32",
            Self::Bad => "31",
            Self::Warning => "33",
            Self::Dim => "2",
            Self::Strong => "1",
        }
    }
}

/// A line of the result.
pub(crate) fn line(text: impl AsRef<str>) {
    toned(Tone::Plain, text);
}

/// A line of the result in a tone.
pub(crate) fn toned(tone: Tone, text: impl AsRef<str>) {
    put(&format!("{}\n", painted(tone, text.as_ref(), colors().0)));
}

/// A piece of the result without a line's end.
pub(crate) fn piece(tone: Tone, text: impl AsRef<str>) {
    put(&painted(tone, text.as_ref(), colors().0));
}

/// A value as it is, for a program that reads it; cleaned on a terminal.
pub(crate) fn value(text: &str) {
    if io::stdout().is_terminal() {
        line(text);
    } else {
        put(&format!("{text}\n"));
    }
}

/// A text of our own as it is: a script, a manual page, a help topic.
pub(crate) fn text(text: &str) {
    put(text);
}

/// A command's help, as clap writes it.
pub(crate) fn help(help: &StyledStr) {
    put(&if colors().0 { help.ansi().to_string() } else { help.to_string() });
}

/// An object for programs.
pub(crate) fn json(object: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(object).map_err(|error| Failure::new(format!("no JSON: {error}")))?;
    put(&format!("{}\n", json_escaped(&text)));
    Ok(())
}

/// An object for programs on a line of its own.
pub(crate) fn json_line(object: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(object).map_err(|error| Failure::new(format!("no JSON: {error}")))?;
    put(&format!("{}\n", json_escaped(&text)));
    Ok(())
}

/// Rows below their heads. The last column holds free text and is shortened to the terminal.
pub(crate) fn table(heads: &[&str], rows: &[Vec<String>]) {
    put_table(heads, rows, heads.len().saturating_sub(1), |_| (0, Tone::Plain));
}

/// The same with free text in another column.
pub(crate) fn table_with_free(heads: &[&str], rows: &[Vec<String>], free: usize) {
    put_table(heads, rows, free, |_| (0, Tone::Plain));
}

/// A table with one cell of each row in a tone: which one, and in which.
pub(crate) fn rows_in_tone(heads: &[&str], rows: &[Vec<String>], tone: impl Fn(usize) -> (usize, Tone)) {
    put_table(heads, rows, heads.len().saturating_sub(1), tone);
}

fn put_table(heads: &[&str], rows: &[Vec<String>], free: usize, tone: impl Fn(usize) -> (usize, Tone)) {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| one_line(cell)).collect()).collect();
    let colors = colors().0;
    let mut text = String::new();
    for (number, cells) in table::lines(heads, &rows, free, width()).iter().enumerate() {
        let toned = number.checked_sub(1).map(&tone);
        for (column, cell) in cells.iter().enumerate() {
            let tone = match toned {
                None => Tone::Dim,
                Some((toned, tone)) if toned == column => tone,
                Some(_) => Tone::Plain,
            };
            text.push_str(&painted(tone, cell, colors));
        }
        text.push('\n');
    }
    put(&text);
}

/// The text in one line of the terminal that begins with so many other characters.
pub(crate) fn fitting(text: &str, indent: usize) -> String {
    table::shortened(&one_line(text), width().map(|width| width.saturating_sub(indent)))
}

/// A thing behind its mark, and what else is to be said of it below; broken between words, all of it in the column behind
/// the mark.
pub(crate) fn marked((tone, mark): (Tone, &str), column: usize, said: &str, below: &[String]) {
    let wrapped = |text: &str, indent: usize| table::wrapped(&clean(text), indent, width());
    piece(tone, format!("{mark:column$}"));
    line(wrapped(said, column));
    for text in below {
        line(format!("{:column$}{}", "", wrapped(text, column + 2)));
    }
}

/// How many columns the terminal has; none where stdout is no terminal, and nothing needs to fit.
fn width() -> Option<usize> {
    let known = || terminal_size().map_or(WIDTH, |(Width(width), _)| usize::from(width));
    io::stdout().is_terminal().then(known)
}

/// What is going on, on stderr.
pub(crate) fn note(text: impl AsRef<str>) {
    complain(Tone::Dim, "", text.as_ref());
}

/// What a person should know, on stderr.
pub(crate) fn warning(text: impl AsRef<str>) {
    complain(Tone::Warning, "warning: ", text.as_ref());
}

/// Why the command failed, on stderr.
pub(crate) fn failure(failure: &Failure) {
    complain(Tone::Bad, "error: ", &failure.message);
    for hint in &failure.hints {
        complain(Tone::Plain, "hint: ", hint);
    }
}

/// Whether somebody sits there who can be asked.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks a question that is answered by yes or no; everything but a clear yes is a no.
pub(crate) fn ask(question: &str) -> Result<bool, Failure> {
    Ok(matches!(choose(&format!("{question} [y/N]"))?.as_str(), "y" | "yes"))
}

/// Asks a question that is answered in a word, in lower case; empty when nothing was said.
pub(crate) fn choose(question: &str) -> Result<String, Failure> {
    eprint!("{} ", clean(question));
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|error| Failure::new(format!("your answer could not be read: {error}")))?;
    Ok(answer.trim().to_lowercase())
}

/// The text without anything that a terminal obeys: control characters and those that turn the direction of text are
/// shown as `\x1b` or `\u{202e}`; line ends and tabs stay.
pub(crate) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\n' | '\t' => out.push(character),
            '\r' if characters.peek() == Some(&'\n') => {}
            character if character.is_control() => {
                // Writing into a string cannot fail.
                let _ = write!(out, "\\x{:02x}", u32::from(character));
            }
            character if turns_text(character) => out.extend(character.escape_unicode()),
            character => out.push(character),
        }
    }
    out
}

/// The text cleaned and in one line.
pub(crate) fn one_line(text: &str) -> String {
    clean(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Characters that make a terminal show text in another order than it is (Unicode, annex 9).
const fn turns_text(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// JSON escapes the ASCII control characters; a terminal obeys some above them as well. They occur in strings only,
/// where the escaped form means the same.
fn json_escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, character| {
        if (character.is_control() && character != '\n') || turns_text(character) {
            let _ = write!(out, "\\u{:04x}", u32::from(character));
        } else {
            out.push(character);
        }
        out
    })
}

fn painted(tone: Tone, text: &str, colors: bool) -> String {
    let text = clean(text);
    if colors && tone != Tone::Plain { format!("\x1b[{}m{text}\x1b[0m", tone.code()) } else { text }
}

/// Whether stdout and stderr show colors.
fn colors() -> (bool, bool) {
    static COLORS: OnceLock<(bool, bool)> = OnceLock::new();
    *COLORS.get_or_init(|| {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && std::env::var_os("TERM").is_none_or(|terminal| terminal != "dumb");
        (wanted && io::stdout().is_terminal(), wanted && io::stderr().is_terminal())
    })
}

fn put(text: &str) {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => process::exit(READER_IS_GONE),
        Err(error) => {
            complain(Tone::Bad, "error: ", &format!("the result could not be written: {error}"));
            process::exit(Exit::Failed as i32);
        }
    }
}

fn complain(tone: Tone, head: &str, text: &str) {
    let painted = if head.is_empty() {
        painted(tone, text, colors().1)
    } else {
        format!("{}{}", painted(tone, head, colors().1), clean(text))
    };
    // Nobody is left to tell when stderr is closed.
    let _ = writeln!(io::stderr().lock(), "{painted}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_command_the_terminal() {
        assert_eq!(clean("a\x1b]0;title\x07b\u{9b}2Jc\rd\x7f"), "a\\x1b]0;title\\x07b\\x9b2Jc\\x0dd\\x7f");
        assert_eq!(clean("one\r\ntwo\tthree\n"), "one\ntwo\tthree\n");
        assert_eq!(clean("safe\u{202e}txt.exe"), "safe\\u{202e}txt.exe");
        assert_eq!(clean("Grüße, 世界"), "Grüße, 世界");
        assert_eq!(one_line("a\n  b\x1b[2J\tc"), "a b\\x1b[2J c");
    }

    #[test]
    fn colors_are_added_after_cleaning() {
        assert_eq!(painted(Tone::Bad, "x\x1b[0m", true), "\x1b[31mx\\x1b[0m\x1b[0m");
        assert_eq!(painted(Tone::Bad, "x", false), "x");
    }

    #[test]
    fn escaped_json_means_the_same() {
        let told = serde_json::json!({ "text": "\u{9b}2J \u{202e} \x7f \x1b ü\n" });
        let text = json_escaped(&serde_json::to_string(&told).unwrap());
        assert!(!text.contains(|c: char| c.is_control() || turns_text(c)), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), told);
    }
}
