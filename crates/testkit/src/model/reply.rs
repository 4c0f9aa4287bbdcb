//! The model's answer: its content, which a dialect writes, and how its delivery ends.

use std::time::Duration;

use super::conversation::Tool;
use super::offered_tools::{Called, Input, function_call};
use super::script::{Step, ToolCall};

/// The name of the model that agents use unless a test chooses another one.
pub const MODEL: &str = "mock-1";

/// The name of another model. Requests may name any other, too.
pub const OTHER_MODEL: &str = "mock-2";

/// Prompt tokens of every answer. Constant, so that a test can compute the cost of a run.
pub const PROMPT_TOKENS: u64 = 100;

/// Completion tokens of every answer.
pub const COMPLETION_TOKENS: u64 = 20;

/// The answer to a request.
#[derive(Debug, Default)]
pub(super) struct Reply {
    thought: String,
    text: String,
    calls: Vec<ToolCall>,
    stop: Stop,
    pub(super) pause: Duration,
    pub(super) end: End,
}

/// How the delivery of an answer ends.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    #[default]
    Finish,
    Cut,
    Disconnect,
    Hang,
}

/// Why the model stopped, calls of tools apart.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stop {
    #[default]
    Finished,
    Full,
    Filtered,
}

/// The finish reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finish {
    Stop,
    ToolCalls,
    /// The answer has its maximum length.
    Length,
    /// The provider refused to answer.
    Filtered,
}

/// The content of an answer to one request.
#[derive(Debug)]
pub(super) struct Answer {
    /// Identifies the answer; consists of letters, digits and `_`.
    pub(super) id: String,
    /// The name of the model in the request.
    pub(super) model: String,
    pub(super) thought: String,
    pub(super) text: String,
    pub(super) calls: Vec<FunctionCall>,
    pub(super) finish: Finish,
}

/// A call of a tool that the request offers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FunctionCall {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) group: Option<String>,
    pub(super) input: Input,
}

impl Reply {
    pub(super) fn text(text: &str) -> Self {
        Self { text: text.to_owned(), ..Self::default() }
    }

    /// The answer of `step`, or `None` if it does not answer.
    pub(super) fn of(step: &Step) -> Option<Self> {
        let reply = match step {
            Step::Say(text) => Self::text(text),
            Step::Full(text) => Self { stop: Stop::Full, ..Self::text(text) },
            Step::Filtered(text) => Self { stop: Stop::Filtered, ..Self::text(text) },
            Step::Thought(thought) => Self { thought: thought.text.clone(), ..Self::text(&thought.say) },
            Step::Bash(bash) => Self::call(ToolCall::Bash(bash.clone())),
            Step::Write(write) => Self::call(ToolCall::Write(write.clone())),
            Step::Read(read) => Self::call(ToolCall::Read(read.clone())),
            Step::Call(call) => Self::call(ToolCall::Call(call.clone())),
            Step::Edit(edit) => Self::call(ToolCall::Edit(edit.clone())),
            Step::Tools(tools) => Self { calls: tools.calls.clone(), ..Self::text(&tools.say) },
            Step::Slow(slow) => Self { pause: Duration::from_millis(slow.delay_ms), ..Self::text(&slow.text) },
            Step::Hang(hang) => Self { end: End::Hang, ..Self::text(&hang.text) },
            Step::Cut(cut) => {
                let end = if cut.disconnect { End::Disconnect } else { End::Cut };
                Self { end, ..Self::text(&cut.text) }
            }
            Step::Status(_) | Step::Wait(_) => return None,
        };
        Some(reply)
    }

    pub(super) fn call(call: ToolCall) -> Self {
        Self { calls: vec![call], ..Self::default() }
    }

    /// The content for a request for `model` that offers `tools`.
    pub(super) fn answer(&self, id: String, model: String, tools: &[Tool], directory: Option<&str>) -> Answer {
        let calls = self.calls.iter().enumerate().map(|(n, call)| {
            let Called { name, group, input } = function_call(call, tools, directory);
            FunctionCall { id: format!("call_{id}_{n}"), name, group, input }
        });
        let calls: Vec<FunctionCall> = calls.collect();
        let finish = match self.stop {
            Stop::Full => Finish::Length,
            Stop::Filtered => Finish::Filtered,
            Stop::Finished if calls.is_empty() => Finish::Stop,
            Stop::Finished => Finish::ToolCalls,
        };
        Answer { id, model, thought: self.thought.clone(), text: self.text.clone(), calls, finish }
    }
}
