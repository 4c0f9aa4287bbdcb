//! The script of a model for one turn, as Rust values and as JSON.
//!
//! ```json
//! [
//!   {"say": "Looking at the files."},
//!   {"full": "As much as fits into"},
//!   {"filtered": "That is against the"},
//!   {"thought": {"text": "A file is missing.", "say": "I will write it."}},
//!   {"bash": {"command": "ls", "description": "List the files"}},
//!   {"write": {"path": "a.txt", "content": "one"}},
//!   {"read": {"path": "a.txt"}},
//!   {"edit": {"path": "a.txt", "old": "one", "new": "two"}},
//!   {"tools": {"say": "Two calls.", "calls": [{"bash": {"command": "pwd"}}, {"write": {"path": "b", "content": ""}}]}},
//!   {"call": {"tool": "server_tool", "arguments": {"a": "b"}}},
//!   {"slow": {"delay_ms": 50, "text": "word by word"}},
//!   {"status": {"code": 429, "times": 2, "retry_after": 1}},
//!   {"cut": {"text": "half a sen", "times": 1}},
//!   {"wait": "gate name"},
//!   {"hang": {"text": "and then"}}
//! ]
//! ```
//!
//! Tools have opencode's names; the server calls the tools of the agent that do the same (`offered_tools.rs`).
//! `{session}` in any text is replaced by the id of the client's session.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The steps of one turn. After the last step the model says "Done." and stops.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Script {
    pub steps: Vec<Step>,
}

impl Script {
    pub fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { steps: steps.into_iter().collect() }
    }

    /// A script with one message.
    pub fn say(text: &str) -> Self {
        Self::new([Step::Say(text.to_owned())])
    }

    /// The script as text for a message or an issue: the marker and JSON in one line.
    pub fn as_message(&self) -> String {
        let json = serde_json::to_string(self).expect("a script is JSON");
        format!("{} {json}", crate::script_text::MARKER)
    }
}

/// A step. One that answers is one assistant message; the others act before the next answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// Answers with text. The turn continues only if the client sends another request.
    Say(String),
    /// Answers with text that reaches the maximum length of an answer.
    Full(String),
    /// Answers with text that the provider's filter ends.
    Filtered(String),
    /// Answers with a thought and text.
    Thought(Thought),
    /// Calls the tool `bash`.
    Bash(Bash),
    /// Calls the tool `write`.
    Write(Write),
    /// Calls the tool `read`.
    Read(Read),
    /// Calls the tool `edit`.
    Edit(Edit),
    /// Calls a tool of an MCP server by the agent's name for it.
    Call(Call),
    /// Calls several tools in one answer.
    Tools(Tools),
    /// Answers with text and pauses before every word.
    Slow(Slow),
    /// Sends the headers and an optional first piece, then nothing until the client disconnects.
    Hang(Hang),
    /// Answers with an HTTP status; the next request gets the next step.
    Status(Status),
    /// Ends the answer early, without a finish reason; the next request gets the next step.
    Cut(Cut),
    /// Does not answer until the test opens this gate, then continues with the next step within the same request.
    Wait(String),
}

/// A shell command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bash {
    pub command: String,
    /// Shown to the user.
    #[serde(default)]
    pub description: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Write {
    /// Relative to the agent's directory, or absolute.
    pub path: String,
    pub content: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// Relative to the agent's directory, or absolute.
    pub path: String,
}

/// A thought before the text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thought {
    pub text: String,
    #[serde(default)]
    pub say: String,
}

/// A replacement in a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// Relative to the agent's directory, or absolute.
    pub path: String,
    /// Text that occurs once in the file.
    pub old: String,
    pub new: String,
}

/// A call of any tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// In opencode `<server>_<tool>`.
    pub tool: String,
    /// An object.
    #[serde(default = "empty_object")]
    pub arguments: Value,
}

/// Several tool calls in one answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tools {
    /// Text before the calls.
    #[serde(default)]
    pub say: String,
    pub calls: Vec<ToolCall>,
}

/// A call in [`Tools`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ToolCall {
    Bash(Bash),
    Write(Write),
    Read(Read),
    Edit(Edit),
    Call(Call),
}

/// Text that is sent slowly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slow {
    /// Milliseconds before every word.
    pub delay_ms: u64,
    pub text: String,
}

/// An answer that never ends.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hang {
    /// First piece; may be empty.
    #[serde(default)]
    pub text: String,
}

/// A refusal by HTTP status.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// For example 400, 401, 429 or 500.
    pub code: u16,
    /// Number of requests that get this status, in a session.
    #[serde(default = "once")]
    pub times: u32,
    /// The header `retry-after`, in seconds.
    #[serde(default)]
    pub retry_after: Option<u64>,
}

/// An answer that ends early.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    /// The text before the break. Must differ from the other answers of the turn, because clients keep it in the
    /// conversation.
    pub text: String,
    /// Number of answers that are cut, in a session.
    #[serde(default = "once")]
    pub times: u32,
    /// Whether the connection breaks. Otherwise the body ends properly but too early.
    #[serde(default)]
    pub disconnect: bool,
}

fn once() -> u32 {
    1
}

fn empty_object() -> Value {
    json!({})
}

/// Value of `times` for a fault that repeats without end.
pub const FOREVER: u32 = u32::MAX;

impl Step {
    pub fn bash(command: &str) -> Self {
        Self::Bash(Bash { command: command.to_owned(), description: command.to_owned() })
    }

    pub fn write(path: &str, content: &str) -> Self {
        Self::Write(Write { path: path.to_owned(), content: content.to_owned() })
    }

    pub fn read(path: &str) -> Self {
        Self::Read(Read { path: path.to_owned() })
    }

    pub fn edit(path: &str, old: &str, new: &str) -> Self {
        Self::Edit(Edit { path: path.to_owned(), old: old.to_owned(), new: new.to_owned() })
    }

    pub fn call(tool: &str, arguments: Value) -> Self {
        Self::Call(Call { tool: tool.to_owned(), arguments })
    }

    /// A refusal, `times` in a row.
    pub fn status(code: u16, times: u32) -> Self {
        Self::Status(Status { code, times, retry_after: None })
    }

    pub fn cut(text: &str, times: u32) -> Self {
        Self::Cut(Cut { text: text.to_owned(), times, disconnect: false })
    }

    pub fn wait(gate: &str) -> Self {
        Self::Wait(gate.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_step_is_parsed() {
        let script: Script = serde_json::from_value(json!([
            {"say": "a"},
            {"bash": {"command": "ls"}},
            {"write": {"path": "a", "content": "b"}},
            {"edit": {"path": "a", "old": "b", "new": "c"}},
            {"read": {"path": "a"}},
            {"thought": {"text": "b"}},
            {"filtered": "c"},
            {"call": {"tool": "kugetsu_list"}},
            {"tools": {"calls": [{"bash": {"command": "pwd"}}]}},
            {"slow": {"delay_ms": 5, "text": "x y"}},
            {"status": {"code": 500}},
            {"cut": {"text": "half"}},
            {"wait": "gate"},
            {"hang": {}},
        ]))
        .unwrap();
        assert_eq!(script.steps.len(), 14);
        assert_eq!(script.steps[7], Step::call("kugetsu_list", json!({})));
        assert_eq!(script.steps[10], Step::status(500, 1));
        assert_eq!(script.steps[13], Step::Hang(Hang::default()));
    }

    #[test]
    fn script_survives_a_message() {
        let script = Script::new([Step::bash("echo \"hi\"\nls"), Step::cut("half", 2), Step::wait("g")]);
        let message = format!("Please.\n{}\nThanks.", script.as_message());
        let Ok(Some(crate::script_text::ScriptText::Json(value))) = crate::script_text::find(&message) else {
            panic!("no JSON script in {message}");
        };
        assert_eq!(crate::script_text::decode::<Script>(&value), Ok(script));
    }

    #[test]
    fn error_names_the_unknown_step() {
        let error = crate::script_text::decode::<Script>(&json!([{"sya": "a"}])).unwrap_err();
        assert!(error.contains("sya"), "{error}");
    }
}
