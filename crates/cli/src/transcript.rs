//! Prints the records of runs.

use kugetsu_api::record::{Body, Record};
use serde_json::Value;

use crate::format;
use crate::ui::{self, Tone, one_line};

/// Longest input and output of a tool that is printed, in characters; `--json` prints all of it.
const TOOL_TEXT_MAX: usize = 400;

/// Fields of a tool's input that are not printed: every tool works in the worktree, and its title describes it.
const OMITTED_FIELDS: [&str; 2] = ["cwd", "description"];

#[derive(Debug, Default)]
pub(crate) struct Transcript {
    /// Whether the agent's text ended in the middle of a line.
    open_line: bool,
}

impl Transcript {
    pub(crate) fn print(&mut self, record: &Record) {
        match &record.body {
            Body::Text { text } => self.stream(Tone::Plain, text),
            Body::Thought { text } => self.stream(Tone::Dim, text),
            body => {
                self.end_line();
                print(body);
            }
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

fn print(body: &Body) {
    match body {
        Body::Step { text } => ui::toned(Tone::Dim, format!("· {}", one_line(text))),
        Body::Notice { text } => ui::toned(Tone::Warning, format!("! {text}")),
        Body::Worktree { directory, branch, base_branch, base_sha } => {
            let base = base_branch.as_deref().unwrap_or("its base");
            let commit = base_sha.as_deref().map(|sha| format!(" at {}", sha.get(..12).unwrap_or(sha)));
            let commit = commit.unwrap_or_default();
            let text = format!("· worktree {directory} on branch {branch}, from {base}{commit}");
            ui::toned(Tone::Dim, one_line(&text));
        }
        Body::SessionLost { session } => {
            ui::toned(Tone::Warning, format!("! the agent has lost session {}", one_line(session)));
        }
        Body::Session { session, resumed, agent, model } => {
            let verb = if *resumed { "resumes" } else { "starts" };
            let model = model.as_deref().map(|model| format!(", model {model}")).unwrap_or_default();
            ui::toned(Tone::Dim, one_line(&format!("· {agent} {verb} session {session}{model}")));
        }
        Body::Prompt { text } => {
            let task = kugetsu_runner::task_part(text);
            if task.len() < text.len() {
                ui::toned(Tone::Dim, "> [base context; --json prints it]");
            }
            for line in task.lines() {
                ui::toned(Tone::Strong, format!("> {line}"));
            }
        }
        Body::ToolStarted { title, input, .. } => {
            let input = tool_input(title, input);
            let input = if input.is_empty() { input } else { format!("  {input}") };
            ui::piece(Tone::Strong, format!("▸ {}", one_line(title)));
            ui::toned(Tone::Dim, input);
        }
        Body::ToolEnded { ok, output, .. } => {
            let output = truncated(&one_line(output));
            match (ok, output.is_empty()) {
                (true, true) => {}
                (true, false) => ui::toned(Tone::Dim, format!("  {output}")),
                (false, _) => ui::toned(Tone::Bad, format!("✗ {output}")),
            }
        }
        Body::Plan { steps } => {
            for step in steps {
                ui::toned(Tone::Dim, format!("  {} {}", plan_mark(&step.state), one_line(&step.text)));
            }
        }
        Body::Permission { title, answer } => {
            ui::toned(Tone::Warning, format!("? {}: {}", one_line(title), one_line(answer)));
        }
        Body::Usage { .. } => {}
        Body::Ended { state, reason, commits, pushed, .. } => {
            let tone = if state == "done" { Tone::Good } else { Tone::Bad };
            // The reason of `done` already reports the commits.
            let commits = format::commits(*commits, *pushed).filter(|_| state != "done");
            let commits = commits.map(|commits| format!(" ({commits})")).unwrap_or_default();
            ui::toned(tone, one_line(&format!("■ {state}: {reason}{commits}")));
        }
        // Streamed.
        Body::Text { .. } | Body::Thought { .. } => {}
    }
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

    #[test]
    fn tool_input_does_not_repeat_the_title() {
        let input = r#"{"command":"ls -l","description":"List","cwd":"/w"}"#;
        assert_eq!(tool_input("ls -l", input), "");
        assert_eq!(tool_input("bash", input), "command=ls -l");
        assert_eq!(tool_input("edit", r#"{"filePath":"a\nb"}"#), "filePath=a b");
        assert_eq!((tool_input("ls", "ls"), tool_input("ls", "ls -l")), (String::new(), "ls -l".to_owned()));
    }
}
