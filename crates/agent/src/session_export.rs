//! What an agent has written down of a session: how each step of its model ended, and what it used.
//!
//! Over ACP opencode calls a turn ended that its model was not allowed to end (the longest answer was reached), and tells
//! the tokens of the last step only. Its own record (`opencode export`) says both.

use std::io::{BufReader, Read};
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use thiserror::Error;

use crate::truncate::{LINE_MAX, truncate};
use crate::usage::Usage;

/// The steps of one session.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionExport {
    steps: Vec<Step>,
}

/// The record is not what this version of kugetsu can read.
#[derive(Debug, Error)]
#[error("the agent's record of the session cannot be read: {0}")]
pub struct UnreadableExport(#[from] serde_json::Error);

/// One answer of the model.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    began: SystemTime,
    /// `stop`, `tool-calls`, `length`, `content-filter`, or `unknown` where the answer broke off.
    pub(crate) finish: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) usage: Usage,
}

#[derive(Deserialize)]
struct Export {
    messages: Vec<Message>,
}

/// Its parts are the bulk of the record; they are read over and not kept.
#[derive(Deserialize)]
struct Message {
    info: Info,
}

#[derive(Deserialize)]
struct Info {
    role: String,
    time: Time,
    finish: Option<String>,
    error: Option<Fault>,
    cost: Option<f64>,
    tokens: Option<Tokens>,
}

#[derive(Deserialize)]
struct Time {
    /// Milliseconds since 1970.
    created: f64,
}

#[derive(Deserialize)]
struct Fault {
    name: Option<String>,
    data: Option<FaultData>,
}

#[derive(Deserialize)]
struct FaultData {
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
    /// Reads what [`Profile::export_session`](crate::Profile::export_session) printed. Blocks, and keeps little of it.
    ///
    /// # Errors
    /// [`UnreadableExport`] if it is cut off or has another shape.
    pub fn read(reader: impl Read) -> Result<Self, UnreadableExport> {
        let export: Export = serde_json::from_reader(BufReader::new(reader))?;
        let answers = export.messages.into_iter().map(|message| message.info).filter(|info| info.role == "assistant");
        Ok(Self { steps: answers.map(Step::from).collect() })
    }

    /// The steps that began at that time or after it.
    pub(crate) fn since(&self, time: SystemTime) -> impl Iterator<Item = &Step> {
        // The agent's clock counts milliseconds and cuts the rest off.
        let time = time - Duration::from_millis(1);
        self.steps.iter().filter(move |step| step.began >= time)
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
            began: SystemTime::UNIX_EPOCH + since_1970,
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

    /// A record as opencode 1.18.33 prints it: a user's message, then a step for each reason, a second apart.
    pub(crate) fn record(began: SystemTime, reasons: &[&str]) -> SessionExport {
        let created = began.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64;
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
    fn a_record_tells_the_steps_since_a_time() {
        let began = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let record = record(began, &["tool-calls", "stop"]);
        let steps: Vec<_> = record.since(began).collect();
        assert_eq!(steps.len(), 2);
        assert_eq!(steps[1].finish.as_deref(), Some("stop"));
        assert_eq!((steps[1].usage.total_tokens(), steps[1].usage.cost_usd), (123, Some(0.5)));
        assert_eq!(record.since(began + Duration::from_millis(500)).count(), 1);
        assert_eq!(record.since(began + Duration::from_secs(5)).count(), 0);
    }

    #[test]
    fn a_record_that_is_cut_off_is_an_error() {
        for text in ["", "{\"messages\": [", "[]", "{}", "Session not found"] {
            assert!(SessionExport::read(text.as_bytes()).is_err(), "{text}");
        }
    }
}
