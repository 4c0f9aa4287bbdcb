//! Chat completions, the API of OpenAI that most providers imitate.

use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::super::conversation::{Conversation, Message, Role, Tool};
use super::super::dialect::{Dialect, Events, chunks, event, items, text};
use super::super::reply::{Answer, COMPLETION_TOKENS, Finish, FunctionCall, PROMPT_TOKENS};

#[derive(Debug)]
pub(in super::super) struct ChatCompletions;

impl Dialect for ChatCompletions {
    /// The header in which opencode sends its session id.
    fn session(&self, headers: &HeaderMap, _body: &Value) -> Option<String> {
        headers.get("x-session-affinity").and_then(|value| value.to_str().ok()).map(str::to_owned)
    }

    fn conversation(&self, body: &Value) -> Conversation {
        let messages = items(&body["messages"]).iter().map(|message| {
            let role = match message["role"].as_str() {
                Some("user") => Role::User,
                Some("assistant") => Role::Assistant,
                Some("tool") => Role::Tool,
                _ => Role::System,
            };
            Message::new(role, text(&message["content"]))
        });
        let tools = items(&body["tools"]).iter().filter_map(|tool| {
            let function = &tool["function"];
            Some(Tool {
                name: function["name"].as_str()?.to_owned(),
                group: None,
                schema: Some(function["parameters"].clone()),
            })
        });
        let answer_schema = body["response_format"]["json_schema"].get("schema").cloned();
        Conversation { messages: messages.collect(), tools: tools.collect(), answer_schema }
    }

    fn events(&self, answer: &Answer) -> Events {
        let chunk = |delta: &Value, finish: Option<&str>| {
            let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
            event(&json!({
                "id": answer.id, "object": "chat.completion.chunk", "created": 0, "model": answer.model,
                "choices": [choice],
            }))
        };
        let usage = event(&json!({
            "id": answer.id, "object": "chat.completion.chunk", "created": 0, "model": answer.model,
            "choices": [], "usage": usage(),
        }));
        let closing = chunk(&json!({}), Some(finish_reason(answer.finish))) + &usage + "data: [DONE]\n\n";
        Events {
            opening: chunk(&json!({"role": "assistant"}), None),
            pieces: deltas(answer).iter().map(|delta| chunk(delta, None)).collect(),
            closing,
        }
    }

    fn value(&self, answer: &Answer) -> Value {
        let calls: Vec<Value> = answer.calls.iter().map(tool_call).collect();
        let mut message = json!({"role": "assistant", "content": answer.text});
        if !answer.thought.is_empty() {
            message["reasoning_content"] = answer.thought.clone().into();
        }
        if !calls.is_empty() {
            message["tool_calls"] = calls.into();
        }
        let choice = json!({"index": 0, "message": message, "finish_reason": finish_reason(answer.finish)});
        json!({
            "id": answer.id, "object": "chat.completion", "created": 0, "model": answer.model,
            "choices": [choice], "usage": usage(),
        })
    }

    fn error(&self, status: u16, message: &str) -> Value {
        json!({"error": {"message": message, "type": "scripted", "code": status}})
    }
}

fn deltas(answer: &Answer) -> Vec<Value> {
    let thought = chunks(&answer.thought).into_iter().map(|piece| json!({"reasoning_content": piece}));
    let text = chunks(&answer.text).into_iter().map(|piece| json!({"content": piece}));
    let calls = answer.calls.iter().enumerate().flat_map(|(n, call)| {
        let mut head = tool_call(call);
        let arguments = head["function"]["arguments"].take();
        head["index"] = n.into();
        head["function"]["arguments"] = "".into();
        let rest = json!({"index": n, "function": {"arguments": arguments}});
        [json!({"tool_calls": [head]}), json!({"tool_calls": [rest]})]
    });
    thought.chain(text).chain(calls).collect()
}

fn tool_call(call: &FunctionCall) -> Value {
    let function = json!({"name": call.name, "arguments": call.input.value().to_string()});
    json!({"id": call.id, "type": "function", "function": function})
}

fn finish_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::ToolCalls => "tool_calls",
        Finish::Length => "length",
        Finish::Filtered => "content_filter",
    }
}

fn usage() -> Value {
    json!({
        "prompt_tokens": PROMPT_TOKENS,
        "completion_tokens": COMPLETION_TOKENS,
        "total_tokens": PROMPT_TOKENS + COMPLETION_TOKENS,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_tools_are_read() {
        let conversation = ChatCompletions.conversation(&json!({
            "messages": [
                {"role": "developer", "content": "be good"},
                {"role": "user", "content": [{"type": "text", "text": "second"}, {"type": "text", "text": "part"}]},
                {"role": "assistant", "content": null, "tool_calls": []},
                {"role": "tool", "content": "ok"},
            ],
            "tools": [{"type": "function", "function": {"name": "bash", "parameters": {"type": "object"}}}],
        }));
        let roles: Vec<_> = conversation.messages.iter().map(|message| (message.role, message.text.as_str())).collect();
        assert_eq!(
            roles,
            [(Role::System, "be good"), (Role::User, "second\npart"), (Role::Assistant, ""), (Role::Tool, "ok")]
        );
        assert_eq!(
            conversation.tools,
            [Tool { name: "bash".into(), group: None, schema: Some(json!({"type": "object"})) }]
        );
    }
}
