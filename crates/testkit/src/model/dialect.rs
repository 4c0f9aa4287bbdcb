//! A dialect: the form of the requests and answers of one API for models.

use axum::http::HeaderMap;
use serde_json::Value;

use super::conversation::Conversation;
use super::reply::Answer;

/// Converts between an API and the forms that all dialects share.
pub(super) trait Dialect: std::fmt::Debug + Send + Sync {
    /// The client's id of its session, if the request has it.
    fn session(&self, headers: &HeaderMap, body: &Value) -> Option<String>;

    fn conversation(&self, body: &Value) -> Conversation;

    /// The events of an answer. Joined, they are the whole event stream.
    fn events(&self, answer: &Answer) -> Events;

    /// The answer as one JSON value.
    fn value(&self, answer: &Answer) -> Value;

    /// The body of a response with an error status.
    fn error(&self, status: u16, message: &str) -> Value;
}

/// An event stream in the parts between which a script can pause or end it.
#[derive(Debug)]
pub(super) struct Events {
    pub(super) opening: String,
    /// Thought, text and calls, in small pieces.
    pub(super) pieces: Vec<String>,
    /// Finish reason and usage.
    pub(super) closing: String,
}

/// A block or an item of an answer.
pub(super) struct Section {
    pub(super) start: Value,
    pub(super) pieces: Vec<String>,
    pub(super) end: Value,
}

/// Joins the sections of an answer. Returns their pieces, and the end of the last one.
pub(super) fn joined(sections: impl Iterator<Item = Section>) -> (Vec<String>, String) {
    let mut pieces = Vec::new();
    // Ends the previous section. Not part of its last piece, so that a cut answer ends within a section.
    let mut end = String::new();
    for mut section in sections {
        if let Some(first) = section.pieces.first_mut() {
            first.insert_str(0, &(end + &named_event(&section.start)));
        }
        pieces.extend(section.pieces);
        end = named_event(&section.end);
    }
    (pieces, end)
}

/// A server-sent event without a name.
pub(super) fn event(data: &Value) -> String {
    format!("data: {data}\n\n")
}

/// A server-sent event with the name in the data's `type`.
pub(super) fn named_event(data: &Value) -> String {
    format!("event: {}\n{}", data["type"].as_str().unwrap_or_default(), event(data))
}

/// The text of a string or of a list of parts.
pub(super) fn text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n"),
        _ => String::new(),
    }
}

/// The items of an array; none for any other value.
pub(super) fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// `text` split after each space.
pub(super) fn chunks(text: &str) -> Vec<&str> {
    text.split_inclusive(' ').collect()
}
