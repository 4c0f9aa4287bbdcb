//! Finds the script in a message, so that a test can write into an issue or a prompt what a test double does.
//!
//! The script follows [`MARKER`], as JSON or as commands:
//!
//! ```text
//! kugetsu-script: [{"say": "hello"}]        one JSON value, which may span several lines
//! kugetsu-script: say hello                 one command; consecutive lines form one script
//! kugetsu-script: commit done
//! ```
//!
//! The marker may appear anywhere in a line, for example in quoted text or a list. The last of several scripts wins,
//! because a prompt often repeats the history first. This module does not interpret the script.

use serde::Deserialize;
use serde_json::Value;

pub const MARKER: &str = "kugetsu-script:";

#[derive(Debug, Clone, PartialEq)]
pub enum ScriptText {
    Json(Value),
    /// One command per entry, without the marker.
    Commands(Vec<String>),
}

/// Returns the last script in `message`, or `None` if it has no marker.
///
/// # Errors
/// The JSON after the marker is malformed.
pub fn find(message: &str) -> Result<Option<ScriptText>, String> {
    let mut found = None;
    let mut rest = message;
    let mut adjacent = false;
    while let Some(at) = rest.find(MARKER) {
        adjacent = adjacent && is_one_line_break(&rest[..at]);
        let text = rest[at + MARKER.len()..].trim_start_matches([' ', '\t']);
        if text.starts_with(['[', '{']) {
            let (value, length) = leading_json(text)?;
            found = Some(ScriptText::Json(value));
            adjacent = false;
            rest = &text[length..];
        } else {
            let end = text.find('\n').unwrap_or(text.len());
            let command = text[..end].trim_end().to_owned();
            match &mut found {
                Some(ScriptText::Commands(commands)) if adjacent => commands.push(command),
                _ => found = Some(ScriptText::Commands(vec![command])),
            }
            adjacent = true;
            rest = &text[end..];
        }
    }
    Ok(found)
}

/// Whether two markers are separated only by a line break and the prefix of a quoted line (`> `, `- `).
fn is_one_line_break(between: &str) -> bool {
    between.matches('\n').count() == 1 && between.chars().all(|c| c.is_whitespace() || ">-*`#".contains(c))
}

fn leading_json(text: &str) -> Result<(Value, usize), String> {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    match stream.next() {
        Some(Ok(value)) => Ok((value, stream.byte_offset())),
        Some(Err(error)) => Err(format!("malformed JSON after \"{MARKER}\": {error}")),
        None => Err(format!("no JSON after \"{MARKER}\"")),
    }
}

/// Deserializes a script.
pub fn decode<'de, T: Deserialize<'de>>(value: &'de Value) -> Result<T, String> {
    T::deserialize(value).map_err(|error| format!("invalid script {value}: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn commands(lines: &[&str]) -> Option<ScriptText> {
        Some(ScriptText::Commands(lines.iter().map(|line| (*line).to_owned()).collect()))
    }

    #[test]
    fn message_without_marker_has_no_script() {
        assert_eq!(find("please say hello\ncommit your work"), Ok(None));
    }

    #[test]
    fn json_may_span_lines_and_text_may_follow() {
        let found = find("Do:\n```\nkugetsu-script: [\n {\"say\": \"a\"}\n]\n```\nthanks");
        assert_eq!(found, Ok(Some(ScriptText::Json(json!([{"say": "a"}])))));
    }

    #[test]
    fn consecutive_command_lines_are_one_script_even_when_quoted() {
        let found = find("> kugetsu-script: say a\n> kugetsu-script: write f x  y\nthe end");
        assert_eq!(found, Ok(commands(&["say a", "write f x  y"])));
    }

    #[test]
    fn last_script_wins() {
        let found = find("kugetsu-script: say old\n\nsome text\n\nkugetsu-script: say new");
        assert_eq!(found, Ok(commands(&["say new"])));
        let found = find("kugetsu-script: [{\"say\":\"old\"}] kugetsu-script: say new");
        assert_eq!(found, Ok(commands(&["say new"])));
    }

    #[test]
    fn malformed_json_is_an_error() {
        let error = find("kugetsu-script: [{\"say\": ]").unwrap_err();
        assert!(error.contains("malformed"), "{error}");
    }
}
