//! Limits the length of text from agents and their tools, for memory, database and screen.

use serde_json::Value;

/// Limits in bytes: of one piece of the agent's text,
pub(crate) const TEXT_MAX: usize = 64 * 1024;
/// of a tool's input,
pub(crate) const INPUT_MAX: usize = 8 * 1024;
/// of a tool's output,
pub(crate) const OUTPUT_MAX: usize = 32 * 1024;
/// and of a title, a name or an error message.
pub(crate) const LINE_MAX: usize = 2 * 1024;

/// The note after truncated text, around the number of omitted bytes.
const NOTE: &str = "\n[";
const NOTE_END: &str = " more bytes]";

/// Returns text of at most `max` bytes unchanged. Of longer text it returns the beginning, and a note that tells how much
/// was omitted.
pub fn truncate(mut text: String, max: usize) -> String {
    if text.len() <= max {
        return text;
    }
    let len = text.len();
    let mut end = max;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text.push_str(&format!("{NOTE}{}{NOTE_END}", len - end));
    text
}

/// Returns the byte at which text was truncated, that is, where its note begins. Code that masks secrets needs it: the text
/// before the note may end with a part of one.
pub fn truncated_at(text: &str) -> Option<usize> {
    let (before, omitted) = text.strip_suffix(NOTE_END)?.rsplit_once(NOTE)?;
    (!omitted.is_empty() && omitted.bytes().all(|byte| byte.is_ascii_digit())).then_some(before.len())
}

/// Formats a JSON value for people: a string without quotes, anything else as compact JSON, null as nothing.
pub(crate) fn readable(value: &Value, max: usize) -> String {
    match value {
        Value::String(text) => truncate(text.clone(), max),
        Value::Null => String::new(),
        other => truncate(other.to_string(), max),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_truncated_between_characters() {
        assert_eq!(truncate("short".into(), 5), "short");
        assert_eq!(truncate("äöü".into(), 3), "ä\n[4 more bytes]");
        assert_eq!(truncated_at(&truncate("äöü".into(), 3)), Some(2));
        assert_eq!(truncated_at("a\n[4 more bytes] and so on"), None);
        assert_eq!(truncated_at("a\n[ more bytes]"), None);
        assert_eq!(readable(&serde_json::json!({"a": 1}), 100), r#"{"a":1}"#);
    }
}
