//! Prints the records of runs.

use std::collections::VecDeque;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use kugetsu_api::record::{Body, Record};
use kugetsu_domain::text::{counted, rfc3339};
use serde_json::Value;

use crate::format;
use crate::ui::{self, Tone, one_line};

/// Longest input of a tool that is printed, and longest line of its output, in characters; `--json` prints all of it.
const TOOL_TEXT_MAX: usize = 400;
/// How many lines of a tool's output are printed: as many from its beginning as from its end.
const TOOL_LINES_MAX: usize = 16;

/// Fields of a tool's input that are not printed: every tool works in the worktree, and its title describes it.
const OMITTED_FIELDS: [&str; 2] = ["cwd", "description"];

/// Width of the local time before the first line of a record.
const TIME_WIDTH: usize = "12:00:00 ".len();

#[derive(Debug, Default)]
pub(crate) struct Transcript {
    /// Whether the agent's text ended in the middle of a line.
    open_line: bool,
    /// The date of the last record.
    date: Option<Date>,
}

impl Transcript {
    pub(crate) fn print(&mut self, record: &Record) {
        match &record.body {
            Body::Text { text } => self.stream(Tone::Plain, text),
            Body::Thought { text } => self.stream(Tone::Dim, text),
            body => {
                self.end_line();
                self.print_lines(record.at, &lines(body));
            }
        }
    }

    /// Prints lines after the local time of their record, and before it the date if that has changed.
    fn print_lines(&mut self, at: i64, lines: &[Line]) {
        if lines.is_empty() {
            return;
        }
        let time = Timestamp::from_millisecond(at).unwrap_or_default().to_zoned(TimeZone::system());
        if self.date.replace(time.date()) != Some(time.date()) {
            ui::toned(Tone::Dim, time.date().to_string());
        }
        let mut before = time.strftime("%H:%M:%S ").to_string();
        for line in lines {
            ui::piece(Tone::Dim, std::mem::replace(&mut before, " ".repeat(TIME_WIDTH)));
            line.iter().for_each(|(tone, text)| ui::piece(*tone, text));
            ui::line("");
        }
    }

    pub(crate) fn end_line(&mut self) {
        if std::mem::take(&mut self.open_line) {
            ui::line("");
        }
    }

    /// The agent's text arrives in pieces that end anywhere.
    fn stream(&mut self, tone: Tone, text: &str) {
        if !text.is_empty() {
            ui::piece(tone, text);
            self.open_line = !text.ends_with('\n');
        }
    }
}

/// Keeps the last records of a transcript.
#[derive(Debug)]
pub(crate) struct Tail {
    max: usize,
    /// Whether `max` counts records instead of lines.
    by_record: bool,
    records: VecDeque<Record>,
    /// The lines that `records` have together, at least.
    lines: usize,
}

impl Tail {
    pub(crate) fn new(max: usize, by_record: bool) -> Self {
        Self { max, by_record, records: VecDeque::new(), lines: 0 }
    }

    pub(crate) fn push(&mut self, record: Record) {
        self.lines += self.count(&record);
        // The agent's text arrives in pieces; together they are one text with lines.
        match (self.records.back_mut().map(|last| &mut last.body), &record.body) {
            (Some(Body::Text { text: last }), Body::Text { text }) if !self.by_record => last.push_str(text),
            (Some(Body::Thought { text: last }), Body::Thought { text }) if !self.by_record => last.push_str(text),
            _ => self.records.push_back(record),
        }
        while let Some(first) = self.records.front().map(|first| self.count(first))
            && self.lines - first >= self.max
            && self.records.len() > 1
        {
            self.records.pop_front();
            self.lines -= first;
        }
    }

    /// Returns the last records, without the first lines of a text that begins before the last lines.
    pub(crate) fn records(mut self) -> VecDeque<Record> {
        let excess = self.lines.saturating_sub(self.max);
        if let Some(Body::Text { text } | Body::Thought { text }) =
            self.records.front_mut().map(|first| &mut first.body)
            && let Some((begin, _)) = text.match_indices('\n').nth(excess.saturating_sub(1)).filter(|_| excess > 0)
        {
            text.drain(..=begin);
        }
        if self.max == 0 { VecDeque::new() } else { self.records }
    }

    fn count(&self, record: &Record) -> usize {
        match &record.body {
            _ if self.by_record => 1,
            Body::Text { text } | Body::Thought { text } => text.matches('\n').count(),
            body => lines(body).len(),
        }
    }
}

/// A line in pieces of different tones.
type Line = Vec<(Tone, String)>;

/// The lines of a record that is not the agent's text.
fn lines(body: &Body) -> Vec<Line> {
    let one = |tone: Tone, text: String| vec![vec![(tone, text)]];
    match body {
        Body::Run { run, .. } => one(Tone::Dim, one_line(&format!("· run {run}"))),
        Body::Step { text } => one(Tone::Dim, format!("· {}", one_line(text))),
        Body::Notice { text } => text.lines().map(|line| vec![(Tone::Warning, format!("! {line}"))]).collect(),
        Body::Worktree { directory, branch, base_branch, base_sha } => {
            let base = base_branch.as_deref().unwrap_or("its base");
            let commit = base_sha.as_deref().map(|sha| format!(" at {}", sha.get(..12).unwrap_or(sha)));
            let commit = commit.unwrap_or_default();
            let text = format!("· worktree {directory} on branch {branch}, from {base}{commit}");
            one(Tone::Dim, one_line(&text))
        }
        Body::SessionLost { session } => {
            one(Tone::Warning, format!("! the agent has lost session {}", one_line(session)))
        }
        Body::Session { session, resumed, agent, model } => {
            let verb = if *resumed { "resumes" } else { "starts" };
            let model = model.as_deref().map(|model| format!(", model {model}")).unwrap_or_default();
            one(Tone::Dim, one_line(&format!("· {agent} {verb} session {session}{model}")))
        }
        Body::Prompt { text } => {
            let task = kugetsu_runner::task_part(text);
            let context =
                (task.len() < text.len()).then(|| vec![(Tone::Dim, "> [base context; --json prints it]".to_owned())]);
            let task = task.lines().map(|line| vec![(Tone::Strong, format!("> {line}"))]);
            context.into_iter().chain(task).collect()
        }
        Body::ToolStarted { title, input, .. } => {
            let input = tool_input(title, input);
            let input = if input.is_empty() { input } else { format!("  {input}") };
            vec![vec![(Tone::Strong, format!("▸ {}", one_line(title))), (Tone::Dim, input)]]
        }
        Body::ToolEnded { ok, exit_code, output, .. } => {
            let failed = exit_code.filter(|code| *code != 0);
            let mut lines = tool_output(*ok && failed.is_none(), output);
            if let Some(code) = failed {
                lines.push(vec![(Tone::Bad, format!("  exit code {code}"))]);
            }
            lines
        }
        Body::Plan { steps } => steps
            .iter()
            .map(|step| vec![(Tone::Dim, format!("  {} {}", plan_mark(&step.state), one_line(&step.text)))])
            .collect(),
        Body::Permission { title, answer } => {
            one(Tone::Warning, format!("? {}: {}", one_line(title), one_line(answer)))
        }
        Body::Verified { command, passed: true, .. } => one(Tone::Good, one_line(&format!("✓ `{command}` passed"))),
        Body::Verified { command, output, .. } => {
            let mut lines = one(Tone::Bad, one_line(&format!("✗ `{command}` failed")));
            lines.extend(tool_output(false, output));
            lines
        }
        Body::Comment { question, text, .. } => {
            let what = if *question { "asks a person" } else { "comments on its issue" };
            one(Tone::Warning, one_line(&format!("? the agent {what}: {text}")))
        }
        Body::Lost { reason } => one(Tone::Bad, one_line(&format!("■ lost: {reason}"))),
        Body::Ended { state, reason, hint, paused_until, commits, pushed, .. } => {
            let tone = match state.as_str() {
                "done" => Tone::Good,
                "paused" => Tone::Warning,
                _ => Tone::Bad,
            };
            let until = paused_until.and_then(|until| Timestamp::from_millisecond(until).ok());
            let until =
                until.map(|until| format!(" until {}", format::local_time(&rfc3339(until)))).unwrap_or_default();
            // The reason of `done` already reports the commits.
            let commits = format::commits(*commits, *pushed).filter(|_| state != "done");
            let commits = commits.map(|commits| format!(" ({commits})")).unwrap_or_default();
            let mut lines = one(tone, one_line(&format!("■ {state}{until}: {reason}{commits}")));
            lines.extend(hint.iter().flat_map(|hint| one(Tone::Plain, one_line(&format!("hint: {hint}")))));
            lines
        }
        Body::Progress { .. } | Body::Usage { .. } | Body::Text { .. } | Body::Thought { .. } => vec![],
    }
}

/// The first and the last lines of a tool's output.
fn tool_output(ok: bool, output: &str) -> Vec<Line> {
    let (tone, mark) = if ok { (Tone::Dim, "  ") } else { (Tone::Bad, "✗ ") };
    let output: Vec<&str> = output.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let omitted = output.len().saturating_sub(TOOL_LINES_MAX);
    let half = TOOL_LINES_MAX / 2;
    let mut lines: Vec<Line> = Vec::new();
    for (number, line) in output.iter().enumerate() {
        if omitted > 0 && number == half {
            let count = counted(omitted as u64, "more line");
            lines.push(vec![(Tone::Dim, format!("  … {count}; --json prints all"))]);
        }
        if omitted == 0 || number < half || number >= half + omitted {
            let mark = if lines.is_empty() { mark } else { "  " };
            lines.push(vec![(tone, format!("{mark}{}", truncated(line)))]);
        }
    }
    if lines.is_empty() && !ok {
        lines.push(vec![(tone, format!("{mark}failed without output"))]);
    }
    lines
}

fn plan_mark(state: &str) -> char {
    match state {
        "completed" => '✓',
        "in_progress" => '▸',
        _ => '·',
    }
}

/// The input of a tool without what its title already contains.
fn tool_input(title: &str, input: &str) -> String {
    let Ok(fields) = serde_json::from_str::<serde_json::Map<String, Value>>(input) else {
        return if one_line(input) == one_line(title) { String::new() } else { truncated(&one_line(input)) };
    };
    let shown = |name: &String, value: &Value| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (value != title && !OMITTED_FIELDS.contains(&name.as_str())).then(|| one_line(&format!("{name}={value}")))
    };
    truncated(&fields.iter().filter_map(|(name, value)| shown(name, value)).collect::<Vec<_>>().join(" "))
}

fn truncated(text: &str) -> String {
    if text.chars().count() <= TOOL_TEXT_MAX {
        return text.to_owned();
    }
    text.chars().take(TOOL_TEXT_MAX).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(lines: &[Line]) -> Vec<String> {
        lines.iter().map(|line| line.iter().map(|(_, text)| text.as_str()).collect()).collect()
    }

    #[test]
    fn tool_output_keeps_its_lines() {
        assert_eq!(shown(&tool_output(true, "a\n\n  b\n")), ["  a", "    b"]);
        assert_eq!(shown(&tool_output(false, "boom\nat 1")), ["✗ boom", "  at 1"]);
        assert_eq!(shown(&tool_output(true, "")), [""; 0]);
        let long: String = (1..=100).map(|number| format!("{number}\n")).collect();
        let lines = shown(&tool_output(true, &long));
        assert_eq!((lines.len(), lines[7].as_str(), lines[16].as_str()), (17, "  8", "  100"));
        assert_eq!(lines[8], "  … 84 more lines; --json prints all");
    }

    #[test]
    fn tail_has_the_last_lines() {
        let record = |body| Record { at: 0, body };
        let text = |text: &str| record(Body::Text { text: text.to_owned() });
        let last = |max: usize, by_record: bool| {
            let mut tail = Tail::new(max, by_record);
            for number in 0..9 {
                tail.push(record(Body::Step { text: number.to_string() }));
            }
            for piece in ["one\n", "two\nth", "ree\n"] {
                tail.push(text(piece));
            }
            tail.records()
        };
        assert_eq!(last(0, false), []);
        assert_eq!(last(2, false), [text("two\nthree\n")]);
        assert_eq!(last(4, false), [record(Body::Step { text: "8".to_owned() }), text("one\ntwo\nthree\n")]);
        assert_eq!(last(2, true), [text("two\nth"), text("ree\n")]);
    }

    #[test]
    fn tool_input_does_not_repeat_the_title() {
        let input = r#"{"command":"ls -l","description":"List","cwd":"/w"}"#;
        assert_eq!(tool_input("ls -l", input), "");
        assert_eq!(tool_input("bash", input), "command=ls -l");
        assert_eq!(tool_input("edit", r#"{"filePath":"a\nb"}"#), "filePath=a b");
        assert_eq!((tool_input("ls", "ls"), tool_input("ls", "ls -l")), (String::new(), "ls -l".to_owned()));
    }
}
