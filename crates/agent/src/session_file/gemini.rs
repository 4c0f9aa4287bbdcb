//! Sessions of Gemini CLI (0.61.0): `.gemini/tmp/<project>/chats/session-<time>-<start of the id>.jsonl`, a line for each message.

use std::io;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::record::{SessionRecord, for_each_line};
use crate::model_failure::HiddenEnd;
use crate::session_id::SessionId;

#[derive(Deserialize)]
struct Line {
    r#type: Option<String>,
    #[serde(rename = "sessionId")]
    session: Option<String>,
    #[serde(default)]
    content: Value,
    /// `Some(Null)` in an answer that broke off; absent in one with tool calls.
    #[serde(default, deserialize_with = "present")]
    tokens: Option<Value>,
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// Reads the session of a file; `None` if it has another one.
///
/// # Errors
/// The file cannot be read.
pub(super) fn read(file: &Path, session: &SessionId) -> io::Result<Option<SessionRecord>> {
    let mut record = SessionRecord::default();
    let mut has_id = false;
    for_each_line(file, |line: Line| {
        has_id |= line.session.is_some_and(|id| id == session.as_str());
        match line.r#type.as_deref() {
            Some("user") if is_prompt(&line.content) => {
                record.prompts += 1;
                record.end = None;
            }
            // The result of a tool, which the model has to answer.
            Some("user") => record.end = None,
            Some("gemini") => {
                let broke_off = || HiddenEnd::Failed("the model's answer broke off".to_owned());
                record.end = line.tokens.map(|tokens| tokens.is_null().then(broke_off));
            }
            _ => {}
        }
    })?;
    Ok(has_id.then_some(record))
}

/// Whether a message of the user is one: results of tools are messages of the user, too.
fn is_prompt(content: &Value) -> bool {
    let parts = content.as_array().map_or(&[][..], Vec::as_slice);
    content.is_string() || parts.iter().any(|part| part["text"].is_string())
}
