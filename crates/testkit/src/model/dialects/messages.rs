//! The Messages API of Anthropic.

use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::super::conversation::{Conversation, Message, Role, Tool};
use super::super::dialect::{Dialect, Events, Section, chunks, items, joined, named_event, text};
use super::super::reply::{Answer, COMPLETION_TOKENS, Finish, PROMPT_TOKENS};

#[derive(Debug)]
pub(in super::super) struct Messages;

impl Dialect for Messages {
    /// The header in which Claude Code sends its session id.
    fn session(&self, headers: &HeaderMap, _body: &Value) -> Option<String> {
        headers.get("x-claude-code-session-id").and_then(|value| value.to_str().ok()).map(str::to_owned)
    }

    fn conversation(&self, body: &Value) -> Conversation {
        let mut messages = vec![Message::new(Role::System, text(&body["system"]))];
        for message in items(&body["messages"]) {
            match message["role"].as_str() {
                Some("assistant") => messages.push(Message::new(Role::Assistant, text(&message["content"]))),
                Some("user") => messages.extend(user_messages(&message["content"])),
                _ => messages.push(Message::new(Role::System, text(&message["content"]))),
            }
        }
        let tools = items(&body["tools"]).iter().filter_map(|tool| {
            // Tools that the provider itself carries out have no schema and cannot be called by a script.
            Some(Tool {
                name: tool["name"].as_str()?.to_owned(),
                group: None,
                schema: Some(tool.get("input_schema")?.clone()),
            })
        });
        let answer_schema = body["output_config"]["format"].get("schema").cloned();
        Conversation { messages, tools: tools.collect(), answer_schema }
    }

    fn events(&self, answer: &Answer) -> Events {
        let mut message = message(answer);
        message["content"] = json!([]);
        message["stop_reason"] = Value::Null;
        message["usage"]["output_tokens"] = 1.into();
        let stop = json!({"stop_reason": stop_reason(answer.finish), "stop_sequence": null});
        let usage = json!({"output_tokens": COMPLETION_TOKENS});
        let blocks = blocks(answer).into_iter().enumerate().map(|(index, block)| Section {
            start: json!({"type": "content_block_start", "index": index, "content_block": emptied(&block)}),
            pieces: block_events(index, &block),
            end: json!({"type": "content_block_stop", "index": index}),
        });
        let (pieces, end) = joined(blocks);
        Events {
            opening: named_event(&json!({"type": "message_start", "message": message})),
            pieces,
            closing: end
                + &named_event(&json!({"type": "message_delta", "delta": stop, "usage": usage}))
                + &named_event(&json!({"type": "message_stop"})),
        }
    }

    fn value(&self, answer: &Answer) -> Value {
        message(answer)
    }

    fn error(&self, status: u16, message: &str) -> Value {
        let kind = match status {
            400 => "invalid_request_error",
            401 => "authentication_error",
            403 => "permission_error",
            404 => "not_found_error",
            429 => "rate_limit_error",
            529 => "overloaded_error",
            _ => "api_error",
        };
        json!({"type": "error", "error": {"type": kind, "message": message}})
    }
}

/// The response to a request for the number of tokens.
pub(in super::super) fn count_tokens() -> Value {
    json!({"input_tokens": PROMPT_TOKENS})
}

/// The results of tools and the text in one message with the role `user`.
fn user_messages(content: &Value) -> Vec<Message> {
    let (results, rest): (Vec<Value>, Vec<Value>) =
        items(content).iter().cloned().partition(|block| block["type"] == "tool_result");
    let rest = if content.is_string() { text(content) } else { text(&Value::Array(rest)) };
    Message::of_user(results.iter().map(|result| text(&result["content"])), rest)
}

fn message(answer: &Answer) -> Value {
    json!({
        "id": format!("msg_{}", answer.id), "type": "message", "role": "assistant", "model": answer.model,
        "content": blocks(answer), "stop_reason": stop_reason(answer.finish), "stop_sequence": null,
        "usage": {
            "input_tokens": PROMPT_TOKENS, "output_tokens": COMPLETION_TOKENS,
            "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
        },
    })
}

fn blocks(answer: &Answer) -> Vec<Value> {
    let mut blocks = Vec::new();
    if !answer.thought.is_empty() {
        blocks.push(json!({"type": "thinking", "thinking": answer.thought, "signature": "scripted"}));
    }
    if !answer.text.is_empty() {
        blocks.push(json!({"type": "text", "text": answer.text}));
    }
    blocks.extend(
        answer
            .calls
            .iter()
            .map(|call| json!({"type": "tool_use", "id": call.id, "name": call.name, "input": call.input.value()})),
    );
    blocks
}

/// The block before the first delta.
fn emptied(block: &Value) -> Value {
    let mut block = block.clone();
    match block["type"].as_str() {
        Some("thinking") => {
            block["thinking"] = "".into();
            block["signature"] = "".into();
        }
        Some("text") => block["text"] = "".into(),
        _ => block["input"] = json!({}),
    }
    block
}

fn block_events(index: usize, block: &Value) -> Vec<String> {
    let delta = |delta: Value| named_event(&json!({"type": "content_block_delta", "index": index, "delta": delta}));
    let text = |key: &str| chunks(block[key].as_str().unwrap_or_default());
    match block["type"].as_str() {
        Some("thinking") => {
            let thought =
                text("thinking").into_iter().map(|piece| delta(json!({"type": "thinking_delta", "thinking": piece})));
            let signature = delta(json!({"type": "signature_delta", "signature": block["signature"]}));
            thought.chain([signature]).collect()
        }
        Some("text") => {
            text("text").into_iter().map(|piece| delta(json!({"type": "text_delta", "text": piece}))).collect()
        }
        _ => vec![delta(json!({"type": "input_json_delta", "partial_json": block["input"].to_string()}))],
    }
}

fn stop_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "end_turn",
        Finish::ToolCalls => "tool_use",
        Finish::Length => "max_tokens",
        Finish::Filtered => "refusal",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_tools_are_no_messages_of_the_user() {
        let result = json!({"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": "ok"}]});
        let conversation = Messages.conversation(&json!({
            "system": [{"type": "text", "text": "be good"}],
            "messages": [
                {"role": "user", "content": "first"},
                {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "a"}]},
                {"role": "user", "content": [result]},
                {"role": "user", "content": [result, {"type": "text", "text": "second"}]},
            ],
        }));
        let roles: Vec<_> = conversation.messages.iter().map(|message| (message.role, message.text.as_str())).collect();
        let expected = [
            (Role::System, "be good"),
            (Role::User, "first"),
            (Role::Assistant, "a"),
            (Role::Tool, "ok"),
            (Role::Tool, "ok"),
            (Role::User, "second"),
        ];
        assert_eq!(roles, expected);
    }
}
