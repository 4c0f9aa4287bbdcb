//! The model's answers as frames: chunks of an event stream, or one JSON value, with pauses and scripted ends.

use std::time::Duration;

use axum::body::Bytes;
use serde_json::{Value, json};

use super::script::{Step, ToolCall};

/// Prompt tokens of every answer. Constant, so that a test can compute the cost of a run.
pub const PROMPT_TOKENS: u64 = 100;

/// Completion tokens of every answer.
pub const COMPLETION_TOKENS: u64 = 20;

/// An action on the connection.
#[derive(Debug)]
pub(super) enum Frame {
    /// Sends the bytes after the pause.
    Bytes(Duration, Bytes),
    /// Breaks the connection.
    Break,
    /// Sends nothing more and keeps the connection open.
    Silence,
}

#[derive(Debug, Default)]
pub(super) struct Reply {
    text: String,
    pause: Duration,
    calls: Vec<ToolCall>,
    /// Whether the answer has its maximum length.
    is_full: bool,
    end: End,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum End {
    #[default]
    Finish,
    Cut,
    Disconnect,
    Hang,
}

impl Reply {
    pub(super) fn text(text: &str) -> Self {
        Self { text: text.to_owned(), ..Self::default() }
    }

    /// The answer of `step`, or `None` if it does not answer.
    pub(super) fn of(step: &Step) -> Option<Self> {
        let reply = match step {
            Step::Say(text) => Self::text(text),
            Step::Full(text) => Self { is_full: true, ..Self::text(text) },
            Step::Bash(bash) => Self { calls: vec![ToolCall::Bash(bash.clone())], ..Self::default() },
            Step::Write(write) => Self { calls: vec![ToolCall::Write(write.clone())], ..Self::default() },
            Step::Call(call) => Self { calls: vec![ToolCall::Call(call.clone())], ..Self::default() },
            Step::Edit(edit) => Self { calls: vec![ToolCall::Edit(edit.clone())], ..Self::default() },
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

    /// The answer as server-sent events. `id` is part of the ids of the answer and of its calls.
    pub(super) fn event_stream(&self, id: &str) -> Vec<Frame> {
        let mut frames = vec![Frame::Bytes(Duration::ZERO, event(&chunk(id, &json!({"role": "assistant"}), None)))];
        for delta in self.deltas(id) {
            frames.push(Frame::Bytes(self.pause, event(&chunk(id, &delta, None))));
        }
        match self.end {
            End::Finish => {
                let mut tail = event(&chunk(id, &json!({}), Some(self.finish_reason()))).to_vec();
                tail.extend_from_slice(&event(&usage_chunk(id)));
                tail.extend_from_slice(b"data: [DONE]\n\n");
                frames.push(Frame::Bytes(Duration::ZERO, tail.into()));
            }
            End::Cut => {}
            End::Disconnect => frames.push(Frame::Break),
            End::Hang => frames.push(Frame::Silence),
        }
        frames
    }

    /// The answer as one JSON value. A cut answer is the first half of it.
    pub(super) fn single_body(&self, id: &str) -> Vec<Frame> {
        let calls: Vec<Value> = self.calls.iter().enumerate().map(|(n, call)| tool_call(id, n, call)).collect();
        let mut message = json!({"role": "assistant", "content": self.text});
        if !calls.is_empty() {
            message["tool_calls"] = calls.into();
        }
        let choice = json!({"index": 0, "message": message, "finish_reason": self.finish_reason()});
        let body = json!({
            "id": id, "object": "chat.completion", "created": 0, "model": "scripted",
            "choices": [choice], "usage": usage(),
        });
        let bytes = Bytes::from(body.to_string());
        let pause = self.pause * u32::try_from(words(&self.text).len()).unwrap_or(u32::MAX);
        match self.end {
            End::Finish => vec![Frame::Bytes(pause, bytes)],
            End::Cut => vec![Frame::Bytes(pause, bytes.slice(..bytes.len() / 2))],
            End::Disconnect => vec![Frame::Bytes(pause, bytes.slice(..bytes.len() / 2)), Frame::Break],
            End::Hang => vec![Frame::Silence],
        }
    }

    fn deltas(&self, id: &str) -> Vec<Value> {
        let text = words(&self.text).into_iter().map(|word| json!({"content": word}));
        let calls = self.calls.iter().enumerate().flat_map(|(n, call)| {
            let mut head = tool_call(id, n, call);
            let arguments = head["function"]["arguments"].take();
            head["index"] = n.into();
            head["function"]["arguments"] = "".into();
            let rest = json!({"index": n, "function": {"arguments": arguments}});
            [json!({"tool_calls": [head]}), json!({"tool_calls": [rest]})]
        });
        text.chain(calls).collect()
    }

    fn finish_reason(&self) -> &'static str {
        match self.calls.is_empty() {
            _ if self.is_full => "length",
            true => "stop",
            false => "tool_calls",
        }
    }
}

/// `text` split after each space.
fn words(text: &str) -> Vec<&str> {
    text.split_inclusive(' ').collect()
}

fn tool_call(id: &str, n: usize, call: &ToolCall) -> Value {
    let function = json!({"name": call.tool(), "arguments": call.arguments().to_string()});
    json!({"id": format!("call_{id}_{n}"), "type": "function", "function": function})
}

fn chunk(id: &str, delta: &Value, finish_reason: Option<&str>) -> Value {
    let choice = json!({"index": 0, "delta": delta, "finish_reason": finish_reason});
    json!({"id": id, "object": "chat.completion.chunk", "created": 0, "model": "scripted", "choices": [choice]})
}

fn usage_chunk(id: &str) -> Value {
    json!({
        "id": id, "object": "chat.completion.chunk", "created": 0, "model": "scripted",
        "choices": [], "usage": usage(),
    })
}

fn usage() -> Value {
    json!({
        "prompt_tokens": PROMPT_TOKENS,
        "completion_tokens": COMPLETION_TOKENS,
        "total_tokens": PROMPT_TOKENS + COMPLETION_TOKENS,
    })
}

fn event(data: &Value) -> Bytes {
    Bytes::from(format!("data: {data}\n\n"))
}
