//! Finds the script that a message carries, so that a test can say in an issue or a prompt what the scripted part does.
//!
//! A message carries a script after the word [`MARKER`], as JSON or as commands:
//!
//! ```text
//! kugetsu-script: [{"say": "hello"}]        one JSON value, which may go on over several lines
//! kugetsu-script: say hello                 one command; several such lines in a row are one script
//! kugetsu-script: commit done
//! ```
//!
//! The marker may stand anywhere in a line (quoted text, lists). When a message holds several scripts, the last one
//! counts: a prompt often repeats the history before it says what is new. What the script means is not known here.

use serde::Deserialize;
use serde_json::Value;

/// The word before a script.
pub const MARKER: &str = "kugetsu-script:";

/// A script as it was found in a message.
#[derive(Debug, Clone, PartialEq)]
pub enum ScriptText {
    /// One JSON value.
    Json(Value),
    /// One command a line, without the marker.
    Commands(Vec<String>),
}

/// The last script in `message`, or `None` without a marker.
///
/// # Errors
/// A sentence that says what is wrong with the JSON after the marker.
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

/// Whether only a line break and the quoting of a next line ("> ", "- ") lie between two markers.
fn is_one_line_break(between: &str) -> bool {
    between.matches('\n').count() == 1 && between.chars().all(|c| c.is_whitespace() || ">-*`#".contains(c))
}

fn leading_json(text: &str) -> Result<(Value, usize), String> {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    match stream.next() {
        Some(Ok(value)) => Ok((value, stream.byte_offset())),
        Some(Err(error)) => Err(format!("the JSON after \"{MARKER}\" is broken: {error}")),
        None => Err(format!("no JSON after \"{MARKER}\"")),
    }
}

/// Reads `value` as a script of type `T`.
///
/// # Errors
/// A sentence that says which part does not fit.
pub fn decode<'de, T: Deserialize<'de>>(value: &'de Value) -> Result<T, String> {
    T::deserialize(value).map_err(|error| format!("the script {value} is not understood: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn commands(lines: &[&str]) -> Option<ScriptText> {
        Some(ScriptText::Commands(lines.iter().map(|line| (*line).to_owned()).collect()))
    }

    #[test]
    fn a_message_without_the_marker_has_no_script() {
        assert_eq!(find("please say hello\ncommit your work"), Ok(None));
    }

    #[test]
    fn json_may_span_lines_and_text_may_follow() {
        let found = find("Do:\n```\nkugetsu-script: [\n {\"say\": \"a\"}\n]\n```\nthanks");
        assert_eq!(found, Ok(Some(ScriptText::Json(json!([{"say": "a"}])))));
    }

    #[test]
    fn neighbouring_command_lines_are_one_script_even_when_quoted() {
        let found = find("> kugetsu-script: say a\n> kugetsu-script: write f x  y\nthe end");
        assert_eq!(found, Ok(commands(&["say a", "write f x  y"])));
    }

    #[test]
    fn the_last_script_counts() {
        let found = find("kugetsu-script: say old\n\nsome words\n\nkugetsu-script: say new");
        assert_eq!(found, Ok(commands(&["say new"])));
        let found = find("kugetsu-script: [{\"say\":\"old\"}] kugetsu-script: say new");
        assert_eq!(found, Ok(commands(&["say new"])));
    }

    #[test]
    fn broken_json_is_reported_not_ignored() {
        let error = find("kugetsu-script: [{\"say\": ]").unwrap_err();
        assert!(error.contains("is broken"), "{error}");
    }
}
