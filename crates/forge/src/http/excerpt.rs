//! Text of a server, fit to be repeated in an error.

use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde_json::Value;

/// Longest excerpt, in characters.
const EXCERPT_MAX: usize = 200;

/// Shortens a text to one line without control characters. Mask secrets first: half a token would not be recognized.
pub(super) fn excerpt(text: &str) -> String {
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect();
    let mut line = words.join(" ");
    if let Some((end, _)) = line.char_indices().nth(EXCERPT_MAX) {
        line.truncate(end);
        line.push('…');
    }
    line
}

/// The server's own message in the body of an error, or an empty text. GitHub and Gitea call it `message`, GitLab
/// `message` or `error`, and GitLab's OAuth layer adds `error_description`. GitHub's reasons are in a list of `errors`.
pub(super) fn error_message(body: &[u8]) -> String {
    let Ok(Value::Object(fields)) = serde_json::from_slice::<Value>(body) else { return String::new() };
    let values = ["error_description", "message", "error"].iter().filter_map(|name| fields.get(*name));
    let texts = values.map(|value| match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    });
    let message = texts.into_iter().find(|text| !text.is_empty()).unwrap_or_default();
    let reasons = fields.get("errors").and_then(Value::as_array).into_iter().flatten().filter_map(reason);
    let all: Vec<String> = std::iter::once(message).chain(reasons).filter(|text| !text.is_empty()).collect();
    all.join(": ")
}

/// A text, or an object with a message or else the name of a field and what is wrong with it.
fn reason(error: &Value) -> Option<String> {
    let text = |name: &str| error.get(name).and_then(Value::as_str);
    let of_field = || Some(format!("{} is {}", text("field")?, text("code")?));
    error.as_str().or_else(|| text("message")).map(str::to_owned).or_else(of_field)
}

pub(super) fn is_html(headers: &HeaderMap, body: &[u8]) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    content_type.contains("html") || body.trim_ascii_start().starts_with(b"<")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_one_short_line() {
        assert_eq!(excerpt(" a\r\n\u{1b}[31mb\u{0}c "), "a [31mb c");
        assert_eq!(excerpt(&"é".repeat(9000)).chars().count(), EXCERPT_MAX + 1);
    }

    #[test]
    fn the_message_of_every_kind_of_server_is_found() {
        for (body, expected) in [
            (r#"{"message":"Not Found","documentation_url":"x"}"#, "Not Found"),
            (
                r#"{"error":"insufficient_scope","error_description":"The request requires higher privileges","scope":"api"}"#,
                "The request requires higher privileges",
            ),
            (r#"{"error":"404 Not Found"}"#, "404 Not Found"),
            (r#"{"message":{"base":["a"]}}"#, r#"{"base":["a"]}"#),
            (r#"{"message":null}"#, ""),
            (
                r#"{"message":"Validation Failed","errors":[{"code":"custom","message":"It exists."},{"field":"head","code":"invalid"}]}"#,
                "Validation Failed: It exists.: head is invalid",
            ),
            (r#"{"message":"Validation Failed","errors":["No commits"]}"#, "Validation Failed: No commits"),
            (r#"{"message":"Not here","errors":null}"#, "Not here"),
            ("<html>", ""),
        ] {
            assert_eq!(error_message(body.as_bytes()), expected);
        }
    }
}
