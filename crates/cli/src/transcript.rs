//! Shows the records of runs to people.

use kugetsu_api::record::{Body, Record};

use crate::ui::{self, Tone, one_line};

/// Longest answer of a tool that is shown, in characters; `--json` shows all.
const ANSWER: usize = 400;

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
            for line in text.lines() {
                ui::toned(Tone::Strong, format!("> {line}"));
            }
        }
        Body::ToolStarted { title, input, .. } => {
            let input = one_line(input);
            let input = if input.is_empty() || input == one_line(title) {
                String::new()
            } else {
                format!("  {}", short(&input))
            };
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
            let commits = if *commits == 1 { "1 commit".to_owned() } else { format!("{commits} commits") };
            ui::toned(tone, one_line(&format!("■ {state}: {reason} ({commits}, {pushed})")));
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

fn short(text: &str) -> String {
    if text.chars().count() <= ANSWER {
        return text.to_owned();
    }
    text.chars().take(ANSWER).chain(['…']).collect()
}
