//! The terminal: the only file that prints, prompts and reads stdin. Results go to stdout, everything else to stderr.
//!
//! Much of the printed text comes from agents, repositories and servers. Every text is sanitized here, so that it cannot
//! control the terminal, and colors are added afterwards.

#![expect(clippy::print_stderr, reason = "the only file that prints")]

use std::collections::BTreeSet;
use std::env;
use std::fmt::Write as _;
use std::future::Future;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::process;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use clap::builder::StyledStr;
use serde::Serialize;
use terminal_size::{Height, Width, terminal_size};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::table::{self, Fit};

/// The exit code when the reader of stdout has closed it: what a shell reports for a program ended by SIGPIPE.
const BROKEN_PIPE: i32 = 141;
/// The width of a terminal that does not report one.
const DEFAULT_WIDTH: usize = 80;
const DEFAULT_HEIGHT: usize = 24;
/// How long a command works in silence. Most end sooner and print nothing but their result.
const NOTICE_DELAY: Duration = Duration::from_secs(1);

/// The style of a text on a terminal with colors.
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
    /// The parameter of the escape sequence "select graphic rendition" (ECMA-48, 8.3.117).
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

/// Prints a line of the result.
pub(crate) fn line(text: impl AsRef<str>) {
    toned(Tone::Plain, text);
}

pub(crate) fn toned(tone: Tone, text: impl AsRef<str>) {
    write_stdout(&format!("{}\n", styled(tone, text.as_ref(), colors().0)));
}

/// Prints a part of a line.
pub(crate) fn piece(tone: Tone, text: impl AsRef<str>) {
    write_stdout(&styled(tone, text.as_ref(), colors().0));
}

/// Prints a value for a program to read: unchanged, or sanitized on a terminal.
pub(crate) fn value(text: &str) {
    if io::stdout().is_terminal() {
        line(text);
    } else {
        write_stdout(&format!("{text}\n"));
    }
}

/// Prints a patch: unchanged for a program, sanitized and colored on a terminal.
pub(crate) fn diff(text: &str) {
    if !io::stdout().is_terminal() {
        write_stdout(text);
        return;
    }
    for text in text.lines() {
        let tone = match text.as_bytes() {
            [b'+', b'+', b'+', ..] | [b'-', b'-', b'-', ..] | [b'd', b'i', b'f', b'f', ..] => Tone::Strong,
            [b'+', ..] => Tone::Good,
            [b'-', ..] => Tone::Bad,
            [b'@', b'@', ..] => Tone::Dim,
            _ => Tone::Plain,
        };
        toned(tone, text);
    }
}

/// Prints trusted text unchanged: a script, a manual page, a help topic.
pub(crate) fn text(text: &str) {
    write_stdout(text);
}

/// Prints the help that clap rendered.
pub(crate) fn help(help: &StyledStr) {
    write_stdout(&if colors().0 { help.ansi().to_string() } else { help.to_string() });
}

pub(crate) fn json(object: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(object)
        .map_err(|error| Failure::new(format!("could not encode the result as JSON: {error}")))?;
    write_stdout(&format!("{}\n", escape_json_controls(&text)));
    Ok(())
}

/// Prints a JSON array item by item, as [`json`] would print it whole.
#[derive(Debug, Default)]
pub(crate) struct JsonArray {
    text: String,
    has_items: bool,
}

impl JsonArray {
    /// Length of the text that is printed at once, in bytes.
    const CHUNK: usize = 64 * 1024;

    pub(crate) fn push(&mut self, item: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(item)
            .map_err(|error| Failure::new(format!("could not encode the result as JSON: {error}")))?;
        self.text.push_str(if self.has_items { ",\n  " } else { "[\n  " });
        // Strings in JSON have no line ends of their own.
        self.text.push_str(&escape_json_controls(&text).replace('\n', "\n  "));
        self.has_items = true;
        if self.text.len() >= Self::CHUNK {
            write_stdout(&std::mem::take(&mut self.text));
        }
        Ok(())
    }

    pub(crate) fn end(self) {
        let Self { text, has_items } = self;
        write_stdout(&if has_items { text + "\n]\n" } else { "[]\n".to_owned() });
    }
}

/// Prints JSON on a single line.
pub(crate) fn json_line(object: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(object)
        .map_err(|error| Failure::new(format!("could not encode the result as JSON: {error}")))?;
    write_stdout(&format!("{}\n", escape_json_controls(&text)));
    Ok(())
}

/// Prints a table whose last column holds free text, which is truncated to the width of the terminal.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>]) {
    table_with_free(headings, rows, headings.len().saturating_sub(1));
}

/// Prints a table whose column `free` holds free text.
pub(crate) fn table_with_free(headings: &[&str], rows: &[Vec<String>], free: usize) {
    let fit = |column| if column == free { Fit::Free } else { Fit::Whole };
    let columns: Vec<_> = headings.iter().enumerate().map(|(column, heading)| (*heading, fit(column))).collect();
    table_with_tones(&columns, rows, |_| (0, Tone::Plain));
}

/// Prints a table with one toned cell per row: `tone` maps the index of a row to the index of its cell and the tone.
pub(crate) fn table_with_tones(columns: &[(&str, Fit)], rows: &[Vec<String>], tone: impl Fn(usize) -> (usize, Tone)) {
    let (headings, fits): (Vec<&str>, Vec<Fit>) = columns.iter().copied().unzip();
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| one_line(cell)).collect()).collect();
    let colors = colors().0;
    let mut text = String::new();
    for (number, cells) in table::lines(&headings, &rows, &fits, width()).iter().enumerate() {
        let toned = number.checked_sub(1).map(&tone);
        for (column, cell) in cells.iter().enumerate() {
            let tone = match toned {
                None => Tone::Dim,
                Some((toned, tone)) if toned == column => tone,
                Some(_) => Tone::Plain,
            };
            text.push_str(&styled(tone, cell, colors));
        }
        text.push('\n');
    }
    write_stdout(&text);
}

/// The text in one line, truncated to the terminal less `indent` columns.
pub(crate) fn truncated_line(text: &str, indent: usize) -> String {
    table::truncated(&one_line(text), width().map(|width| width.saturating_sub(indent)))
}

/// Prints a text beside a mark, and further lines below it. Everything is wrapped and starts in the column after the mark.
pub(crate) fn bullet((tone, mark): (Tone, &str), column: usize, text: &str, below: &[String]) {
    let wrapped = |text: &str, indent: usize| table::wrapped(&sanitize(text), indent, width());
    piece(tone, format!("{mark:column$}"));
    line(wrapped(text, column));
    for text in below {
        line(format!("{:column$}{}", "", wrapped(text, column + 2)));
    }
}

/// The width of the terminal; `None` if stdout is not a terminal.
pub(crate) fn width() -> Option<usize> {
    io::stdout().is_terminal().then(terminal_width)
}

fn terminal_width() -> usize {
    terminal_size().map_or(DEFAULT_WIDTH, |(Width(width), _)| usize::from(width))
}

/// The height of the terminal in lines; `None` if stdout is not a terminal.
pub(crate) fn height() -> Option<usize> {
    let height = || terminal_size().map_or(DEFAULT_HEIGHT, |(_, Height(height))| usize::from(height));
    io::stdout().is_terminal().then(height)
}

/// Prints progress on stderr.
pub(crate) fn note(text: impl AsRef<str>) {
    write_stderr(Tone::Dim, "", text.as_ref());
}

/// Prints what an agent says on stderr.
pub(crate) fn agent_text(text: &str) {
    write_stderr(Tone::Plain, "", text);
}

/// Awaits `work`, and prints `notice` if it takes longer than [`NOTICE_DELAY`].
pub(crate) async fn notify_if_slow<Output>(notice: &str, work: impl Future<Output = Output>) -> Output {
    let mut work = std::pin::pin!(work);
    if let Ok(output) = tokio::time::timeout(NOTICE_DELAY, work.as_mut()).await {
        return output;
    }
    note(format!("· {notice}"));
    work.await
}

pub(crate) fn warning(text: impl AsRef<str>) {
    write_stderr(Tone::Warning, "warning: ", text.as_ref());
}

/// Prints a warning of the daemon, unless this process has printed it before.
pub(crate) fn warn_once(text: &str) {
    static PRINTED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if PRINTED.lock().unwrap_or_else(PoisonError::into_inner).insert(text.to_owned()) {
        warning(text);
    }
}

pub(crate) fn failure(failure: &Failure) {
    write_stderr(Tone::Bad, "error: ", &failure.message);
    for hint in &failure.hints {
        write_stderr(Tone::Plain, "hint: ", hint);
    }
}

/// Whether the user can answer questions.
pub(crate) fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks a yes-or-no question. Everything but a clear yes means no.
pub(crate) fn confirm(question: &str) -> Result<bool, Failure> {
    Ok(matches!(prompt(&format!("{question} [y/N]"))?.as_str(), "y" | "yes"))
}

/// Asks a question and returns the answer in lower case, empty if there was none.
pub(crate) fn prompt(question: &str) -> Result<String, Failure> {
    eprint!("{} ", sanitize(question));
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|error| Failure::new(format!("could not read the answer from stdin: {error}")))?;
    Ok(answer.trim().to_lowercase())
}

/// Reads stdin to its end. `what` names the text in errors; `max` is its largest length in bytes.
pub(crate) fn read_stdin(what: &str, max: u64) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    io::stdin()
        .lock()
        .take(max + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::new(format!("could not read the {what} from stdin: {error}")))?;
    if bytes.len() as u64 > max {
        return Err(Failure::usage(format!("the {what} on stdin is longer than {max} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| {
        Failure::usage(format!("the {what} on stdin is not valid UTF-8"))
            .hint("convert it first, for example with `iconv -f latin1 -t utf-8`")
    })
}

/// The text without anything that controls a terminal. Control characters and those that change the direction of text
/// are escaped as `\x1b` or `\u{202e}`; line ends and tabs stay.
pub(crate) fn sanitize(text: &str) -> String {
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
            character if is_bidi_control(character) => out.extend(character.escape_unicode()),
            character => out.push(character),
        }
    }
    out
}

/// The text sanitized and in one line.
pub(crate) fn one_line(text: &str) -> String {
    sanitize(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a terminal shows the text after this character in another order (Unicode, annex 9).
const fn is_bidi_control(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Escapes the control characters that JSON allows in a string but a terminal obeys. They occur only in strings, where
/// the escaped form has the same meaning.
fn escape_json_controls(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, character| {
        if (character.is_control() && character != '\n') || is_bidi_control(character) {
            let _ = write!(out, "\\u{:04x}", u32::from(character));
        } else {
            out.push(character);
        }
        out
    })
}

fn styled(tone: Tone, text: &str, colors: bool) -> String {
    let text = sanitize(text);
    if colors && tone != Tone::Plain { format!("\x1b[{}m{text}\x1b[0m", tone.code()) } else { text }
}

/// Whether stdout and stderr have colors.
fn colors() -> (bool, bool) {
    static COLORS: OnceLock<(bool, bool)> = OnceLock::new();
    *COLORS.get_or_init(|| {
        let wanted = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && env::var_os("TERM").is_none_or(|terminal| terminal != "dumb");
        (wanted && io::stdout().is_terminal(), wanted && io::stderr().is_terminal())
    })
}

fn write_stdout(text: &str) {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => process::exit(BROKEN_PIPE),
        Err(error) => {
            write_stderr(Tone::Bad, "error: ", &format!("could not write to stdout: {error}"));
            process::exit(Exit::Failed as i32);
        }
    }
}

fn write_stderr(tone: Tone, label: &str, text: &str) {
    let line = if label.is_empty() {
        styled(tone, text, colors().1)
    } else {
        let width = io::stderr().is_terminal().then(terminal_width);
        let lines: Vec<String> = sanitize(text).lines().map(|line| table::wrapped(line, label.len(), width)).collect();
        format!("{}{}", styled(tone, label, colors().1), lines.join("\n"))
    };
    // There is nowhere to report a closed stderr.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untrusted_text_cannot_control_the_terminal() {
        assert_eq!(sanitize("a\x1b]0;title\x07b\u{9b}2Jc\rd\x7f"), "a\\x1b]0;title\\x07b\\x9b2Jc\\x0dd\\x7f");
        assert_eq!(sanitize("one\r\ntwo\tthree\n"), "one\ntwo\tthree\n");
        assert_eq!(sanitize("safe\u{202e}txt.exe"), "safe\\u{202e}txt.exe");
        assert_eq!(sanitize("Grüße, 世界"), "Grüße, 世界");
        assert_eq!(one_line("a\n  b\x1b[2J\tc"), "a b\\x1b[2J c");
    }

    #[test]
    fn colors_are_added_after_sanitizing() {
        assert_eq!(styled(Tone::Bad, "x\x1b[0m", true), "\x1b[31mx\\x1b[0m\x1b[0m");
        assert_eq!(styled(Tone::Bad, "x", false), "x");
    }

    #[test]
    fn escaped_json_keeps_its_meaning() {
        let object = serde_json::json!({ "text": "\u{9b}2J \u{202e} \x7f \x1b ü\n" });
        let text = escape_json_controls(&serde_json::to_string(&object).unwrap());
        assert!(!text.contains(|c: char| c.is_control() || is_bidi_control(c)), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), object);
    }
}
