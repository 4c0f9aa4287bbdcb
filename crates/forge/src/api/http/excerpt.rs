//! What a server said, as an error may repeat it.

use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde_json::Value;

/// Longest piece of an answer that an error repeats, in characters.
const SHOWN_MAX: usize = 200;

/// One line without control characters, shortened. Whoever masks a token does so before: half a token is not found.
pub(super) fn excerpt(text: &str) -> String {
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect();
    let mut line = words.join(" ");
    if let Some((at, _)) = line.char_indices().nth(SHOWN_MAX) {
        line.truncate(at);
        line.push('…');
    }
    line
}

/// The server's own words in the body of an error: GitHub and Gitea write `message`, GitLab `message` or `error`, the
/// OAuth layer of GitLab `error_description` beside it.
pub(super) fn error_message(body: &[u8]) -> String {
    let Ok(Value::Object(fields)) = serde_json::from_slice::<Value>(body) else { return String::new() };
    let found = ["error_description", "message", "error"].iter().filter_map(|name| fields.get(*name));
    let text = found.map(|value| match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    });
    text.into_iter().find(|text| !text.is_empty()).unwrap_or_default()
}

/// Whether an answer is a page for people.
pub(super) fn is_page(headers: &HeaderMap, body: &[u8]) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.contains("html") || body.trim_ascii_start().starts_with(b"<")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_repeated_is_one_short_line() {
        assert_eq!(excerpt(" a\r\n\u{1b}[31mb\u{0}c "), "a [31mb c");
        assert_eq!(excerpt(&"é".repeat(9000)).chars().count(), SHOWN_MAX + 1);
    }

    #[test]
    fn every_server_has_its_own_place_for_words() {
        for (body, expected) in [
            (r#"{"message":"Not Found","documentation_url":"x"}"#, "Not Found"),
            (
                r#"{"error":"insufficient_scope","error_description":"The request requires higher privileges","scope":"api"}"#,
                "The request requires higher privileges",
            ),
            (r#"{"error":"404 Not Found"}"#, "404 Not Found"),
            (r#"{"message":{"base":["a"]}}"#, r#"{"base":["a"]}"#),
            (r#"{"message":null}"#, ""),
            ("<html>", ""),
        ] {
            assert_eq!(error_message(body.as_bytes()), expected);
        }
    }
}
