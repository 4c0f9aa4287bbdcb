//! Sessions of Kimi Code (2.1.0): `sessions/<directory>/<session>/agents/<agent>/wire.jsonl`, a line for each event. `main` is
//! the agent itself, the others are its sub-agents.

use std::fs;
use std::io;
use std::path::Path;

use serde::Deserialize;

use super::record::{RecordedTokens, SessionRecord, for_each_line};
use crate::model_failure::HiddenEnd;
use crate::truncate::{LINE_MAX, truncate};
use crate::usage::{TOKENS_MAX, Tokens};

/// Maximum number of sub-agents whose tokens are counted.
const AGENTS_MAX: usize = 10_000;

#[derive(Deserialize)]
struct Line {
    r#type: Option<String>,
    event: Option<Event>,
    error: Option<Failure>,
    #[serde(rename = "errorMessage")]
    error_message: Option<String>,
    usage: Option<Used>,
}

#[derive(Deserialize)]
struct Event {
    r#type: Option<String>,
    #[serde(rename = "finishReason")]
    finish: Option<String>,
    /// Absent if the provider's answer had none.
    #[serde(rename = "providerFinishReason")]
    provider_finish: Option<String>,
}

#[derive(Deserialize)]
struct Failure {
    message: Option<String>,
    details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    #[serde(rename = "statusCode")]
    status: Option<u16>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Used {
    input_other: u64,
    output: u64,
    #[serde(default)]
    input_cache_read: u64,
    #[serde(default)]
    input_cache_creation: u64,
}

/// Reads the session whose main agent has this file.
///
/// # Errors
/// A file cannot be read.
pub(super) fn read(main: &Path) -> io::Result<SessionRecord> {
    let mut record = SessionRecord::default();
    let mut last_step = None;
    for_each_line(main, |line: Line| match line.r#type.as_deref() {
        Some("turn.prompt") => {
            record.prompts += 1;
            (record.end, record.retried, last_step) = (None, None, None);
        }
        Some("context.append_loop_event") => {
            last_step = line.event.filter(|event| event.r#type.as_deref() == Some("step.end")).or(last_step.take());
        }
        Some("turn.step.retrying") => record.retried = line.error_message.map(|text| truncate(text, LINE_MAX)),
        Some("turn.ended") => {
            let failed = line.error.map(|failure| HiddenEnd::Failed(failure.text()));
            record.end = Some(failed.or_else(|| last_step.as_ref().and_then(Event::hidden)));
        }
        // Of a version that writes no `turn.ended`.
        Some("prompt.completed") if record.end.is_none() => {
            record.end = Some(last_step.as_ref().and_then(Event::hidden));
        }
        // Of a request that was answered.
        Some("usage.record") => {
            record.retried = None;
            add(&mut record.used, line.usage);
        }
        _ => {}
    })?;
    for other in others(main)? {
        for_each_line(&other, |line: Line| {
            if line.r#type.as_deref() == Some("usage.record") {
                add(&mut record.used, line.usage);
            }
        })?;
    }
    Ok(record)
}

/// The files of the sub-agents.
fn others(main: &Path) -> io::Result<Vec<std::path::PathBuf>> {
    let (Some(file), Some(agents)) = (main.file_name(), main.parent().and_then(Path::parent)) else {
        return Ok(vec![]);
    };
    let mut others = Vec::new();
    for entry in fs::read_dir(agents)?.take(AGENTS_MAX) {
        let path = entry?.path().join(file);
        if path != main && path.exists() {
            others.push(path);
        }
    }
    Ok(others)
}

/// Adds the tokens of a request. A provider that does not count them reports none.
fn add(sum: &mut RecordedTokens, used: Option<Used>) {
    let Some(used) = used else { return };
    let used = Tokens {
        input: used.input_other.min(TOKENS_MAX),
        output: used.output.min(TOKENS_MAX),
        reasoning: 0,
        cache_read: used.input_cache_read.min(TOKENS_MAX),
        cache_write: used.input_cache_creation.min(TOKENS_MAX),
    };
    match used.total() {
        0 => sum.uncounted += 1,
        _ => sum.tokens += used,
    }
}

impl Event {
    fn hidden(&self) -> Option<HiddenEnd> {
        match (self.finish.as_deref(), &self.provider_finish) {
            (Some("max_tokens"), _) => Some(HiddenEnd::MaxTokens),
            (Some("filtered"), _) => Some(HiddenEnd::Filtered),
            (Some("end_turn"), None) => Some(HiddenEnd::Failed("the model's answer broke off".to_owned())),
            _ => None,
        }
    }
}

impl Failure {
    fn text(self) -> String {
        let text = self.message.unwrap_or_else(|| "the agent does not say why".to_owned());
        let text = match self.details.and_then(|details| details.status) {
            Some(status) => format!("{text} (status {status})"),
            None => text,
        };
        truncate(text, LINE_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(scenario: &str) -> SessionRecord {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded_sessions/kimi");
        read(&directory.join(format!("{scenario}.jsonl"))).unwrap()
    }

    #[test]
    fn failure_that_the_agent_waits_for_is_known() {
        let waiting = recorded("status_429_retry_after_3600");
        assert_eq!(waiting.end, None);
        assert_eq!(waiting.retried.as_deref(), Some("429 scripted status 429"));
        assert_eq!(recorded("success").retried, None);
        assert_eq!(recorded("status_429_once").retried, None, "the next request succeeded");
    }

    #[test]
    fn tokens_are_unknown_if_a_request_has_none() {
        let before = SessionRecord::default();
        let of = |scenario: &str| {
            recorded(scenario).used_since(&before).map(|tokens| (tokens.all_input(), tokens.all_output()))
        };
        assert_eq!(of("two_turns"), Some((300, 60)));
        assert_eq!(of("cut_after_work"), None);
        let later = recorded("cut_after_work");
        assert_eq!(later.used_since(&later), Some(Tokens::default()), "only what follows counts");
    }
}
