//! Reads the state of the current turn from the body of a request.

use serde_json::Value;

/// The turn that a request belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Turn {
    /// The client's session id; empty if it sent none.
    pub session: String,
    /// Number of user messages in the conversation, which distinguishes turns with the same text.
    pub number: usize,
    /// Text of the last user message.
    pub request: String,
    /// Texts of the assistant messages after it, in order.
    pub answers: Vec<String>,
}

impl Turn {
    /// The last turn of the conversation in `body`.
    pub fn of(session: &str, body: &Value) -> Self {
        let messages = body["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
        let last_user = messages.iter().rposition(|message| message["role"] == "user");
        let since = last_user.map_or(messages, |at| &messages[at + 1..]);
        Self {
            session: session.to_owned(),
            number: messages.iter().filter(|message| message["role"] == "user").count(),
            request: last_user.map(|at| text(&messages[at])).unwrap_or_default(),
            answers: since.iter().filter(|message| message["role"] == "assistant").map(text).collect(),
        }
    }
}

/// The text of a message. Its content is a string or a list of parts.
pub fn text(message: &Value) -> String {
    match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_answers_after_the_last_user_message_count() {
        let turn = Turn::of(
            "ses_1",
            &json!({"messages": [
                {"role": "system", "content": "be good"},
                {"role": "user", "content": "first"},
                {"role": "assistant", "content": "old"},
                {"role": "user", "content": [{"type": "text", "text": "second"}, {"type": "text", "text": "part"}]},
                {"role": "assistant", "content": null, "tool_calls": []},
                {"role": "tool", "content": "ok"},
                {"role": "assistant", "content": "new"},
            ]}),
        );
        assert_eq!((turn.number, turn.request.as_str()), (2, "second\npart"));
        assert_eq!(turn.answers, ["", "new"]);
    }

    #[test]
    fn empty_body_is_an_empty_turn() {
        let turn = Turn::of("", &json!({}));
        assert_eq!((turn.number, turn.answers.len()), (0, 0));
    }
}
