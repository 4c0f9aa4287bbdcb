//! An agent's own record of a session: how each model step ended, and what it used.
//!
//! Over ACP, opencode reports a turn as ended even if its model reached the maximum length of an answer, and it reports the
//! tokens of the last step only. Its record (`opencode export`) has both.

use std::io::{BufReader, Read};
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use thiserror::Error;

use crate::truncate::{LINE_MAX, truncate};
use crate::usage::Usage;

/// The model steps of a session.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionExport {
    steps: Vec<Step>,
}

#[derive(Debug, Error)]
#[error("cannot read the agent's export of the session: {0}")]
pub struct UnreadableExport(#[from] serde_json::Error);

/// One answer of the model.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    started_at: SystemTime,
    /// `stop`, `tool-calls`, `length`, `content-filter`, or `unknown` if the answer broke off.
    pub(crate) finish: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) usage: Usage,
}

#[derive(Deserialize)]
struct Export {
    messages: Vec<Message>,
}

/// The message's parts, which are the bulk of the export, are skipped.
#[derive(Deserialize)]
struct Message {
    info: Info,
}

#[derive(Deserialize)]
struct Info {
    role: String,
    time: Time,
    finish: Option<String>,
    error: Option<StepError>,
    cost: Option<f64>,
    tokens: Option<Tokens>,
}

#[derive(Deserialize)]
struct Time {
    /// Milliseconds since 1970.
    created: f64,
}

#[derive(Deserialize)]
struct StepError {
    name: Option<String>,
    data: Option<ErrorData>,
}

#[derive(Deserialize)]
struct ErrorData {
    message: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Tokens {
    input: f64,
    output: f64,
    reasoning: f64,
    cache: Cache,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Cache {
    read: f64,
    write: f64,
}

impl SessionExport {
    /// Reads the output of [`Profile::export_session`](crate::Profile::export_session). Blocks, and keeps little in memory.
    ///
    /// # Errors
    /// [`UnreadableExport`] if it is incomplete or has another format.
    pub fn read(reader: impl Read) -> Result<Self, UnreadableExport> {
        let export: Export = serde_json::from_reader(BufReader::new(reader))?;
        let answers = export.messages.into_iter().map(|message| message.info).filter(|info| info.role == "assistant");
        Ok(Self { steps: answers.map(Step::from).collect() })
    }

    /// Returns the steps that started at this time or later.
    pub(crate) fn since(&self, time: SystemTime) -> impl Iterator<Item = &Step> {
        // The agent's timestamps are truncated to milliseconds.
        let time = time - Duration::from_millis(1);
        self.steps.iter().filter(move |step| step.started_at >= time)
    }
}

impl From<Info> for Step {
    fn from(info: Info) -> Self {
        let tokens = info.tokens.unwrap_or_default();
        let error = info.error.map(|error| {
            let message = error.data.and_then(|data| data.message).or(error.name).unwrap_or_default();
            truncate(message, LINE_MAX)
        });
        let since_1970 = Duration::try_from_secs_f64(info.time.created / 1000.0).unwrap_or_default();
        Self {
            started_at: SystemTime::UNIX_EPOCH + since_1970,
            finish: info.finish,
            error,
            usage: Usage {
                steps: 1,
                input_tokens: tokens.input as u64,
                output_tokens: tokens.output as u64,
                reasoning_tokens: tokens.reasoning as u64,
                cache_read_tokens: tokens.cache.read as u64,
                cache_write_tokens: tokens.cache.write as u64,
                cost_usd: info.cost,
            },
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    /// An export as opencode 1.18.33 prints it: a user's message, then a step with each of these reasons, one second apart.
    pub(crate) fn export(started_at: SystemTime, reasons: &[&str]) -> SessionExport {
        let created = started_at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64;
        let user =
            json!({"info": {"role": "user", "time": {"created": created}, "summary": {"diffs": []}}, "parts": []});
        let steps = reasons.iter().enumerate().map(|(n, reason)| {
            json!({
                "info": {
                    "role": "assistant", "cost": 0.5, "finish": reason, "id": "msg_1",
                    "tokens": {"total": 120, "input": 100, "output": 20, "reasoning": 0, "cache": {"write": 0, "read": 3}},
                    "time": {"created": created + 1000 * n as u64, "completed": 1},
                },
                "parts": [{"type": "text", "text": "x".repeat(1000)}],
            })
        });
        let messages: Vec<_> = std::iter::once(user).chain(steps).collect();
        let text = json!({"info": {"id": "ses_1", "cost": 1}, "messages": messages}).to_string();
        SessionExport::read(text.as_bytes()).unwrap()
    }

    #[test]
    fn steps_are_selected_by_time() {
        let started_at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let export = export(started_at, &["tool-calls", "stop"]);
        let steps: Vec<_> = export.since(started_at).collect();
        assert_eq!(steps.len(), 2);
        assert_eq!(steps[1].finish.as_deref(), Some("stop"));
        assert_eq!((steps[1].usage.total_tokens(), steps[1].usage.cost_usd), (123, Some(0.5)));
        assert_eq!(export.since(started_at + Duration::from_millis(500)).count(), 1);
        assert_eq!(export.since(started_at + Duration::from_secs(5)).count(), 0);
    }

    #[test]
    fn incomplete_export_is_an_error() {
        for text in ["", "{\"messages\": [", "[]", "{}", "Session not found"] {
            assert!(SessionExport::read(text.as_bytes()).is_err(), "{text}");
        }
    }
}
