//! What a scripted model does in one turn, as Rust values and as JSON.
//!
//! ```json
//! [
//!   {"say": "I look first."},
//!   {"bash": {"command": "ls", "description": "List the files"}},
//!   {"write": {"path": "a.txt", "content": "one"}},
//!   {"edit": {"path": "a.txt", "old": "one", "new": "two"}},
//!   {"tools": {"say": "Both at once.", "calls": [{"bash": {"command": "pwd"}}, {"write": {"path": "b", "content": ""}}]}},
//!   {"call": {"tool": "server_tool", "arguments": {"a": "b"}}},
//!   {"slow": {"delay_ms": 50, "text": "word by word"}},
//!   {"status": {"code": 429, "times": 2, "retry_after": 1}},
//!   {"cut": {"text": "half a sen", "times": 1}},
//!   {"wait": "gate name"},
//!   {"hang": {"text": "and then"}}
//! ]
//! ```
//!
//! `{session}` in any text stands for the session that asked.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The steps of one turn. After the last step the model says "Done." and stops.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Script {
    /// In the order in which they are due.
    pub steps: Vec<Step>,
}

impl Script {
    /// A script of these steps.
    pub fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { steps: steps.into_iter().collect() }
    }

    /// A script that only says `text`.
    pub fn say(text: &str) -> Self {
        Self::new([Step::Say(text.to_owned())])
    }

    /// The script as text to put into a message or an issue: the marker and JSON on one line.
    pub fn as_message(&self) -> String {
        let json = serde_json::to_string(self).expect("a script is JSON");
        format!("{} {json}", crate::script_text::MARKER)
    }
}

/// One thing the model does. A step that answers is one assistant message; the others act before the next answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// Answers with text; the turn goes on only if the client asks again.
    Say(String),
    /// Calls the tool `bash`.
    Bash(Bash),
    /// Calls the tool `write`.
    Write(Write),
    /// Calls the tool `edit`.
    Edit(Edit),
    /// Calls a tool of a server that the agent was given, by the name that the agent gives it.
    Call(Call),
    /// Calls several tools in one answer.
    Tools(Tools),
    /// Answers with text, a pause before every word.
    Slow(Slow),
    /// Sends the headers and perhaps a first piece, then nothing until the client goes.
    Hang(Hang),
    /// Answers with an HTTP status instead; then the next step is due.
    Status(Status),
    /// Ends the answer in the middle, without a finish reason; then the next step is due.
    Cut(Cut),
    /// Answers nothing until the test opens this gate; then the next step is due, within the same request.
    Wait(String),
}

/// A shell command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bash {
    /// Given to the agent's shell.
    pub command: String,
    /// What a person sees.
    #[serde(default)]
    pub description: String,
}

/// A whole file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Write {
    /// Relative to the agent's directory, or absolute.
    pub path: String,
    /// All of the file.
    pub content: String,
}

/// A replacement in a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// Relative to the agent's directory, or absolute.
    pub path: String,
    /// Text that stands in the file once.
    pub old: String,
    /// What replaces it.
    pub new: String,
}

/// A call of any tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// Its name, `<server>_<tool>` with opencode.
    pub tool: String,
    /// Its arguments, an object.
    #[serde(default = "nothing")]
    pub arguments: Value,
}

/// Several tool calls in one answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tools {
    /// Text before the calls.
    #[serde(default)]
    pub say: String,
    /// The calls, in order.
    pub calls: Vec<ToolCall>,
}

/// One call among [`Tools`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ToolCall {
    /// As [`Step::Bash`].
    Bash(Bash),
    /// As [`Step::Write`].
    Write(Write),
    /// As [`Step::Edit`].
    Edit(Edit),
    /// As [`Step::Call`].
    Call(Call),
}

/// Text that comes slowly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slow {
    /// Milliseconds before every word.
    pub delay_ms: u64,
    /// Sent word by word.
    pub text: String,
}

/// An answer that never comes to its end.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hang {
    /// A first piece; none is sent when empty.
    #[serde(default)]
    pub text: String,
}

/// A refusal by HTTP status.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// For instance 400, 401, 429, 500.
    pub code: u16,
    /// How many requests of this turn are refused before the next step is due.
    #[serde(default = "once")]
    pub times: u32,
    /// Seconds, for the header `retry-after`.
    #[serde(default)]
    pub retry_after: Option<u64>,
}

/// An answer that breaks off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    /// What comes before the break. Must not equal another answer of the same turn: clients keep it in the conversation.
    pub text: String,
    /// How many answers of this turn break off before the next step is due.
    #[serde(default = "once")]
    pub times: u32,
    /// Whether the connection breaks as well; else the body ends in good order, only too early.
    #[serde(default)]
    pub disconnect: bool,
}

fn once() -> u32 {
    1
}

fn nothing() -> Value {
    json!({})
}

/// `times` for a fault that never ends.
pub const FOR_EVER: u32 = u32::MAX;

impl Step {
    /// A shell command whose description is the command itself.
    pub fn bash(command: &str) -> Self {
        Self::Bash(Bash { command: command.to_owned(), description: command.to_owned() })
    }

    /// A whole file.
    pub fn write(path: &str, content: &str) -> Self {
        Self::Write(Write { path: path.to_owned(), content: content.to_owned() })
    }

    /// A replacement in a file.
    pub fn edit(path: &str, old: &str, new: &str) -> Self {
        Self::Edit(Edit { path: path.to_owned(), old: old.to_owned(), new: new.to_owned() })
    }

    /// A call of a tool that the agent was given.
    pub fn call(tool: &str, arguments: Value) -> Self {
        Self::Call(Call { tool: tool.to_owned(), arguments })
    }

    /// A refusal, `times` in a row.
    pub fn status(code: u16, times: u32) -> Self {
        Self::Status(Status { code, times, retry_after: None })
    }

    /// An answer that breaks off after `text`, `times` in a row.
    pub fn cut(text: &str, times: u32) -> Self {
        Self::Cut(Cut { text: text.to_owned(), times, disconnect: false })
    }

    /// A gate that the test opens.
    pub fn wait(gate: &str) -> Self {
        Self::Wait(gate.to_owned())
    }
}

impl ToolCall {
    /// Name of the tool as agents offer it.
    pub fn tool(&self) -> &str {
        match self {
            Self::Bash(_) => "bash",
            Self::Write(_) => "write",
            Self::Edit(_) => "edit",
            Self::Call(Call { tool, .. }) => tool,
        }
    }

    /// The arguments by the names opencode's tools have.
    pub fn arguments(&self) -> Value {
        match self {
            Self::Bash(Bash { command, description }) => {
                let description = if description.is_empty() { command } else { description };
                json!({"command": command, "description": description})
            }
            Self::Write(Write { path, content }) => json!({"filePath": path, "content": content}),
            Self::Edit(Edit { path, old, new }) => json!({"filePath": path, "oldString": old, "newString": new}),
            Self::Call(Call { arguments, .. }) => arguments.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_reads_from_json_as_documented() {
        let script: Script = serde_json::from_value(json!([
            {"say": "a"},
            {"bash": {"command": "ls"}},
            {"write": {"path": "a", "content": "b"}},
            {"edit": {"path": "a", "old": "b", "new": "c"}},
            {"call": {"tool": "kugetsu_list"}},
            {"tools": {"calls": [{"bash": {"command": "pwd"}}]}},
            {"slow": {"delay_ms": 5, "text": "x y"}},
            {"status": {"code": 500}},
            {"cut": {"text": "half"}},
            {"wait": "gate"},
            {"hang": {}},
        ]))
        .unwrap();
        assert_eq!(script.steps.len(), 11);
        assert_eq!(script.steps[4], Step::call("kugetsu_list", json!({})));
        assert_eq!(script.steps[7], Step::status(500, 1));
        assert_eq!(script.steps[10], Step::Hang(Hang::default()));
    }

    #[test]
    fn a_script_survives_the_way_through_a_message() {
        let script = Script::new([Step::bash("echo \"hi\"\nls"), Step::cut("half", 2), Step::wait("g")]);
        let message = format!("Please.\n{}\nThanks.", script.as_message());
        let Ok(Some(crate::script_text::ScriptText::Json(value))) = crate::script_text::find(&message) else {
            panic!("no JSON script in {message}");
        };
        assert_eq!(crate::script_text::decode::<Script>(&value), Ok(script));
    }

    #[test]
    fn an_unknown_step_is_an_error_that_names_it() {
        let error = crate::script_text::decode::<Script>(&json!([{"sya": "a"}])).unwrap_err();
        assert!(error.contains("sya"), "{error}");
    }
}
