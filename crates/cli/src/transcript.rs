//! Shows the records of runs to people.

use kugetsu_api::record::{Body, Record};
use kugetsu_domain::text::counted;
use serde_json::Value;

use crate::ui::{self, Tone, one_line};

/// Longest answer of a tool that is shown, in characters; `--json` shows all.
const ANSWER: usize = 400;

/// Fields of a tool's input that tell nothing new: every tool works in the worktree, and says itself what it does.
const LEFT_OUT: [&str; 2] = ["cwd", "description"];

/// Shows records one after the other.
#[derive(Debug, Default)]
pub(crate) struct Transcript {
    /// The agent is in the middle of a line.
    open: bool,
}

impl Transcript {
    /// Shows one record.
    pub(crate) fn show(&mut self, record: &Record) {
        match &record.body {
            Body::Text { text } => self.stream(Tone::Plain, text),
            Body::Thought { text } => self.stream(Tone::Dim, text),
            body => {
                self.close();
                show(body);
            }
        }
    }

    /// Ends a line that is open.
    pub(crate) fn close(&mut self) {
        if std::mem::take(&mut self.open) {
            ui::line("");
        }
    }

    /// What an agent says comes in pieces that end anywhere.
    fn stream(&mut self, tone: Tone, text: &str) {
        if !text.is_empty() {
            ui::piece(tone, text);
            self.open = !text.ends_with('\n');
        }
    }
}

fn show(body: &Body) {
    match body {
        Body::Step { text } => ui::toned(Tone::Dim, format!("· {}", one_line(text))),
        Body::Notice { text } => ui::toned(Tone::Warning, format!("! {text}")),
        Body::Worktree { directory, branch, base_branch, base_sha } => {
            let base = base_branch.as_deref().unwrap_or("its base");
            let commit = base_sha.as_deref().map(|sha| format!(" at {}", sha.get(..12).unwrap_or(sha)));
            let said = format!("· {directory} on {branch}, from {base}{}", commit.unwrap_or_default());
            ui::toned(Tone::Dim, one_line(&said));
        }
        Body::SessionLost { session } => {
            ui::toned(Tone::Warning, format!("! the agent does not know the session {} any more", one_line(session)));
        }
        Body::Session { session, resumed, agent, model } => {
            let how = if *resumed { "goes on in" } else { "begins" };
            let model = model.as_deref().map(|model| format!(", model {model}")).unwrap_or_default();
            ui::toned(Tone::Dim, one_line(&format!("· {agent} {how} session {session}{model}")));
        }
        Body::Prompt { text } => {
            let asked = kugetsu_runner::asked(text);
            if asked.len() < text.len() {
                ui::toned(Tone::Dim, "> [what every session begins with; --json shows it]");
            }
            for line in asked.lines() {
                ui::toned(Tone::Strong, format!("> {line}"));
            }
        }
        Body::ToolStarted { title, input, .. } => {
            let input = given(title, input);
            let input = if input.is_empty() { input } else { format!("  {input}") };
            ui::piece(Tone::Strong, format!("▸ {}", one_line(title)));
            ui::toned(Tone::Dim, input);
        }
        Body::ToolEnded { ok, output, .. } => {
            let output = short(&one_line(output));
            match (ok, output.is_empty()) {
                (true, true) => {}
                (true, false) => ui::toned(Tone::Dim, format!("  {output}")),
                (false, _) => ui::toned(Tone::Bad, format!("✗ {output}")),
            }
        }
        Body::Plan { steps } => {
            for step in steps {
                ui::toned(Tone::Dim, format!("  {} {}", step_mark(&step.state), one_line(&step.text)));
            }
        }
        Body::Permission { title, answer } => {
            ui::toned(Tone::Warning, format!("? {}: {}", one_line(title), one_line(answer)));
        }
        Body::Usage { .. } => {}
        Body::Ended { state, reason, commits, pushed, .. } => {
            let tone = if state == "done" { Tone::Good } else { Tone::Bad };
            let pushed = if *pushed { "pushed" } else { "not pushed" };
            let work = match commits {
                0 => String::new(),
                commits => format!(" ({}, {pushed})", counted(*commits, "commit")),
            };
            ui::toned(tone, one_line(&format!("■ {state}: {reason}{work}")));
        }
        // What is said in pieces is not shown here.
        Body::Text { .. } | Body::Thought { .. } => {}
    }
}

fn step_mark(state: &str) -> char {
    match state {
        "completed" => '✓',
        "in_progress" => '▸',
        _ => '·',
    }
}

/// What a tool is given, as far as its title does not say it already.
fn given(title: &str, input: &str) -> String {
    let Ok(fields) = serde_json::from_str::<serde_json::Map<String, Value>>(input) else {
        return if one_line(input) == one_line(title) { String::new() } else { short(&one_line(input)) };
    };
    let told = |name: &String, value: &Value| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (value != title && !LEFT_OUT.contains(&name.as_str())).then(|| one_line(&format!("{name}={value}")))
    };
    short(&fields.iter().filter_map(|(name, value)| told(name, value)).collect::<Vec<_>>().join(" "))
}

fn short(text: &str) -> String {
    if text.chars().count() <= ANSWER {
        return text.to_owned();
    }
    text.chars().take(ANSWER).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_title_says_is_not_said_twice() {
        let input = r#"{"command":"ls -l","description":"List","cwd":"/w"}"#;
        assert_eq!(given("ls -l", input), "");
        assert_eq!(given("bash", input), "command=ls -l");
        assert_eq!(given("edit", r#"{"filePath":"a\nb"}"#), "filePath=a b");
        assert_eq!((given("ls", "ls"), given("ls", "ls -l")), (String::new(), "ls -l".to_owned()));
    }
}
