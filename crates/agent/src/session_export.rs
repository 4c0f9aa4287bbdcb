//! An agent's own record of a session: how each model step ended, and what it used.
//!
//! Over ACP, opencode reports a turn as ended even if its model reached the maximum length of an answer, and it reports the
//! tokens of the last step only. Its record has both: the running agent serves it, and `opencode export` prints it.

use std::io::{BufReader, Read};
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use thiserror::Error;

use crate::truncate::{LINE_MAX, truncate};
use crate::usage::{self, Usage, bounded_tokens, dollars};

/// The model steps of a session.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionExport {
    steps: Vec<Step>,
}

/// The record is incomplete, or has another format.
#[derive(Debug, Error)]
#[error("cannot read the agent's record of the session: {0}")]
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

/// The message's parts, which are the bulk of the record, are skipped.
#[derive(Deserialize)]
pub(crate) struct Message {
    info: Info,
}

#[derive(Deserialize)]
struct Info {
    role: String,
    #[serde(rename = "sessionID")]
    session: Option<String>,
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
        Ok(Self::of(export.messages))
    }

    pub(crate) fn of(messages: Vec<Message>) -> Self {
        let answers = messages.into_iter().map(|message| message.info).filter(|info| info.role == "assistant");
        Self { steps: answers.map(Step::from).collect() }
    }

    /// Whether there are steps since this time, and the last one has an end. A record that is read too early has none.
    pub fn is_complete(&self, since: SystemTime) -> bool {
        self.since(since).last().is_some_and(|step| step.finish.is_some() || step.error.is_some())
    }

    /// Returns the steps that started at this time or later.
    pub(crate) fn since(&self, time: SystemTime) -> impl Iterator<Item = &Step> {
        // The agent's timestamps are truncated to milliseconds.
        let time = time - Duration::from_millis(1);
        self.steps.iter().filter(move |step| step.started_at >= time)
    }
}

impl Message {
    pub(crate) fn belongs_to(&self, session: &str) -> bool {
        self.info.session.as_deref() == Some(session)
    }

    pub(crate) fn created_at(&self) -> SystemTime {
        created_at(&self.info.time)
    }
}

fn created_at(time: &Time) -> SystemTime {
    let since_1970 = Duration::try_from_secs_f64(time.created / 1000.0).unwrap_or_default();
    // Dates that the system cannot represent are those of no step of this turn.
    SystemTime::UNIX_EPOCH.checked_add(since_1970).unwrap_or(SystemTime::UNIX_EPOCH)
}

impl From<Info> for Step {
    fn from(info: Info) -> Self {
        let tokens = info.tokens.unwrap_or_default();
        let error = info.error.map(|error| {
            let message = error.data.and_then(|data| data.message).or(error.name).unwrap_or_default();
            truncate(message, LINE_MAX)
        });
        Self {
            started_at: created_at(&info.time),
            finish: info.finish,
            error,
            usage: Usage {
                steps: 1,
                tokens: Some(usage::Tokens {
                    input: bounded_tokens(tokens.input),
                    output: bounded_tokens(tokens.output),
                    reasoning: bounded_tokens(tokens.reasoning),
                    cache_read: bounded_tokens(tokens.cache.read),
                    cache_write: bounded_tokens(tokens.cache.write),
                }),
                cost_usd: info.cost.and_then(dollars),
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
        assert_eq!((steps[1].usage.tokens.unwrap().total(), steps[1].usage.cost_usd), (123, Some(0.5)));
        assert_eq!(export.since(started_at + Duration::from_millis(500)).count(), 1);
        assert_eq!(export.since(started_at + Duration::from_secs(5)).count(), 0);
    }

    #[test]
    fn record_without_the_end_of_its_last_step_is_not_complete() {
        let started_at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let mut export = export(started_at, &["tool-calls", "stop"]);
        assert!(export.is_complete(started_at));
        assert!(!export.is_complete(started_at + Duration::from_secs(5)), "there is no step of that turn");
        export.steps[1].finish = None;
        assert!(!export.is_complete(started_at));
    }

    #[test]
    fn impossible_values_do_not_panic() {
        let text = json!({"messages": [{"info": {
            "role": "assistant", "finish": "stop", "time": {"created": 1e300}, "cost": -1e300,
            "tokens": {"input": -5, "output": 1_u64 << 63, "cache": {"read": 1e300}},
        }}]});
        let export = SessionExport::read(text.to_string().as_bytes()).unwrap();
        let usage = export.steps[0].usage;
        assert_eq!((usage.tokens.unwrap().input, usage.cost_usd), (0, None));
        assert!(i64::try_from(usage.tokens.unwrap().total()).is_ok());
    }

    #[test]
    fn incomplete_export_is_an_error() {
        let whole = json!({"info": {}, "messages": [{"info": {"role": "user", "time": {"created": 1}}, "parts": []}]});
        let whole = whole.to_string();
        assert!(SessionExport::read(whole.as_bytes()).is_ok());
        for end in 0..whole.len() {
            assert!(SessionExport::read(&whole.as_bytes()[..end]).is_err(), "cut after {end} bytes");
        }
        for text in ["", "{\"messages\": [", "[]", "{}", "Session not found"] {
            assert!(SessionExport::read(text.as_bytes()).is_err(), "{text}");
        }
    }
}
