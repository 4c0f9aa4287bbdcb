//! The API of Gemini.

use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::super::conversation::{Conversation, Message, Role, Tool};
use super::super::dialect::{Dialect, Events, chunks, event, items, text};
use super::super::reply::{Answer, COMPLETION_TOKENS, Finish, PROMPT_TOKENS};

#[derive(Debug)]
pub(in super::super) struct Gemini;

impl Dialect for Gemini {
    /// The API has no sessions.
    fn session(&self, _headers: &HeaderMap, _body: &Value) -> Option<String> {
        None
    }

    fn conversation(&self, body: &Value) -> Conversation {
        let mut messages = vec![Message::new(Role::System, text(&body["systemInstruction"]["parts"]))];
        for content in items(&body["contents"]) {
            let parts = items(&content["parts"]);
            match content["role"].as_str() {
                Some("model") => {
                    let shown = parts.iter().filter(|part| part["thought"] != true).cloned().collect();
                    messages.push(Message::new(Role::Assistant, text(&Value::Array(shown))));
                }
                _ => messages.extend(user_messages(parts)),
            }
        }
        let declarations = items(&body["tools"]).iter().flat_map(|tools| items(&tools["functionDeclarations"]));
        let tools = declarations.filter_map(|tool| {
            let schema = tool.get("parametersJsonSchema").unwrap_or(&tool["parameters"]);
            Some(Tool { name: tool["name"].as_str()?.to_owned(), group: None, schema: Some(schema.clone()) })
        });
        let config = &body["generationConfig"];
        let answer_schema = config.get("responseJsonSchema").or(config.get("responseSchema")).cloned();
        Conversation { messages, tools: tools.collect(), answer_schema }
    }

    fn events(&self, answer: &Answer) -> Events {
        let chunk = |parts: &[Value], finish: Option<&str>| event(&response(answer, parts, finish));
        let parts = parts(answer, |text| chunks(text).into_iter().map(str::to_owned).collect());
        Events {
            opening: String::new(),
            pieces: parts.iter().map(|part| chunk(std::slice::from_ref(part), None)).collect(),
            closing: chunk(&[json!({"text": ""})], Some(finish_reason(answer.finish))),
        }
    }

    fn value(&self, answer: &Answer) -> Value {
        response(answer, &parts(answer, |text| vec![text.to_owned()]), Some(finish_reason(answer.finish)))
    }

    fn error(&self, status: u16, message: &str) -> Value {
        let name = match status {
            400 => "INVALID_ARGUMENT",
            401 => "UNAUTHENTICATED",
            403 => "PERMISSION_DENIED",
            404 => "NOT_FOUND",
            429 => "RESOURCE_EXHAUSTED",
            503 => "UNAVAILABLE",
            _ => "INTERNAL",
        };
        json!({"error": {"code": status, "message": message, "status": name}})
    }
}

/// The response to `countTokens`.
pub(in super::super) fn count_tokens() -> Value {
    json!({"totalTokens": PROMPT_TOKENS})
}

/// The response to a request for the list of models.
pub(in super::super) fn models(name: &str) -> Value {
    let methods = ["generateContent", "countTokens"];
    json!({"models": [{"name": format!("models/{name}"), "displayName": name, "supportedGenerationMethods": methods}]})
}

/// The results of tools and the text in one content with the role `user`.
fn user_messages(parts: &[Value]) -> Vec<Message> {
    let (results, rest): (Vec<Value>, Vec<Value>) =
        parts.iter().cloned().partition(|part| part.get("functionResponse").is_some());
    let results = results.iter().map(|part| part["functionResponse"]["response"].to_string());
    Message::of_user(results, text(&Value::Array(rest)))
}

/// The parts of an answer; `split` cuts thought and text.
fn parts(answer: &Answer, split: impl Fn(&str) -> Vec<String>) -> Vec<Value> {
    let some = |text: &str| if text.is_empty() { Vec::new() } else { split(text) };
    let thought = some(&answer.thought).into_iter().map(|text| json!({"text": text, "thought": true}));
    let text = some(&answer.text).into_iter().map(|text| json!({"text": text}));
    let calls = answer
        .calls
        .iter()
        .map(|call| json!({"functionCall": {"id": call.id, "name": call.name, "args": call.input.value()}}));
    thought.chain(text).chain(calls).collect()
}

fn response(answer: &Answer, parts: &[Value], finish: Option<&str>) -> Value {
    let mut candidate = json!({"index": 0, "content": {"role": "model", "parts": parts}});
    let mut response = json!({"responseId": answer.id, "modelVersion": answer.model});
    if let Some(finish) = finish {
        candidate["finishReason"] = finish.into();
        response["usageMetadata"] = json!({
            "promptTokenCount": PROMPT_TOKENS,
            "candidatesTokenCount": COMPLETION_TOKENS,
            "totalTokenCount": PROMPT_TOKENS + COMPLETION_TOKENS,
        });
    }
    response["candidates"] = json!([candidate]);
    response
}

/// Calls of tools have no reason of their own.
fn finish_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::ToolCalls => "STOP",
        Finish::Length => "MAX_TOKENS",
        Finish::Filtered => "SAFETY",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thoughts_and_results_of_tools_are_no_text_of_messages() {
        let conversation = Gemini.conversation(&json!({
            "systemInstruction": {"parts": [{"text": "be good"}]},
            "contents": [
                {"role": "user", "parts": [{"text": "first"}]},
                {"role": "model", "parts": [{"text": "hm", "thought": true}, {"text": "a"}, {"functionCall": {}}]},
                {"role": "user", "parts": [{"functionResponse": {"response": {"output": "ok"}}}]},
            ],
            "tools": [{"functionDeclarations": [{"name": "shell", "parameters": {}}]}, {"googleSearch": {}}],
        }));
        let roles: Vec<_> = conversation.messages.iter().map(|message| (message.role, message.text.as_str())).collect();
        let expected = [
            (Role::System, "be good"),
            (Role::User, "first"),
            (Role::Assistant, "a"),
            (Role::Tool, r#"{"output":"ok"}"#),
        ];
        assert_eq!(roles, expected);
        assert_eq!(conversation.tools.len(), 1);
    }
}
