//! Text from agents and their tools, cut to a length that memory, database and screen can bear.

use serde_json::Value;

/// Most bytes kept of one piece of what the agent says.
pub(crate) const TEXT_MAX: usize = 64 * 1024;
/// Most bytes kept of a tool's input.
pub(crate) const INPUT_MAX: usize = 8 * 1024;
/// Most bytes kept of a tool's output.
pub(crate) const OUTPUT_MAX: usize = 32 * 1024;
/// Most bytes kept of a title, a name or an error message.
pub(crate) const LINE_MAX: usize = 2 * 1024;

/// The note behind text that was cut, around the number of bytes that are missing.
const NOTE: &str = "\n[";
const NOTE_END: &str = " more bytes]";

/// The text itself if it is short enough, else its beginning and a note of how much is missing.
pub fn truncate(mut text: String, max: usize) -> String {
    if text.len() <= max {
        return text;
    }
    let whole = text.len();
    let mut end = max;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text.push_str(&format!("{NOTE}{}{NOTE_END}", whole - end));
    text
}

/// Where text was cut: the byte at which the note of how much is missing begins. Who masks text must know: half a secret
/// may stand in front of it.
pub fn truncated_at(text: &str) -> Option<usize> {
    let (before, missing) = text.strip_suffix(NOTE_END)?.rsplit_once(NOTE)?;
    (!missing.is_empty() && missing.bytes().all(|byte| byte.is_ascii_digit())).then_some(before.len())
}

/// A JSON value as a person reads it: a string as it is, anything else as compact JSON.
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
    fn long_text_is_cut_between_characters_and_says_so() {
        assert_eq!(truncate("short".into(), 5), "short");
        assert_eq!(truncate("äöü".into(), 3), "ä\n[4 more bytes]");
        assert_eq!(truncated_at(&truncate("äöü".into(), 3)), Some(2));
        assert_eq!(truncated_at("a\n[4 more bytes] and so on"), None);
        assert_eq!(truncated_at("a\n[ more bytes]"), None);
        assert_eq!(readable(&serde_json::json!({"a": 1}), 100), r#"{"a":1}"#);
    }
}
