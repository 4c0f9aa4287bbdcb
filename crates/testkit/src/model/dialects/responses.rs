//! The Responses API of OpenAI.

use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::super::conversation::{Conversation, Message, Role, Tool};
use super::super::dialect::{Dialect, Events, Section, chunks, items, joined, named_event, text};
use super::super::offered_tools::Input;
use super::super::reply::{Answer, COMPLETION_TOKENS, Finish, FunctionCall, PROMPT_TOKENS};

/// The tool with which the model searches for tools that the request does not offer. The agent executes it.
const SEARCH: &str = "tool_search";
const SEARCH_OUTPUT: &str = "tool_search_output";

#[derive(Debug)]
pub(in super::super) struct Responses;

impl Dialect for Responses {
    /// The header in which codex sends its session id.
    fn session(&self, headers: &HeaderMap, body: &Value) -> Option<String> {
        let header = headers.get("session-id").and_then(|value| value.to_str().ok());
        header.or(body["prompt_cache_key"].as_str()).map(str::to_owned)
    }

    fn conversation(&self, body: &Value) -> Conversation {
        let mut messages = vec![Message::new(Role::System, text(&body["instructions"]))];
        match &body["input"] {
            Value::String(text) => messages.push(Message::new(Role::User, text.clone())),
            input => add_items(&mut messages, items(input)),
        }
        // What a search of the model found counts as offered.
        let found = items(&body["input"]).iter().filter(|item| item["type"] == SEARCH_OUTPUT);
        let found = found.flat_map(|item| items(&item["tools"]));
        let tools = items(&body["tools"]).iter().chain(found).flat_map(tools).collect();
        Conversation { messages, tools, answer_schema: body["text"]["format"].get("schema").cloned() }
    }

    fn events(&self, answer: &Answer) -> Events {
        let items = output(answer).into_iter().enumerate().map(|(index, item)| Section {
            start: json!({"type": "response.output_item.added", "output_index": index, "item": emptied(&item)}),
            pieces: deltas(index, &item),
            end: json!({"type": "response.output_item.done", "output_index": index, "item": item}),
        });
        let (pieces, end) = joined(items);
        let created = response(answer, "in_progress", &Value::Null, &json!([]));
        let whole = self.value(answer);
        let last = if incomplete(answer.finish).is_some() { "response.incomplete" } else { "response.completed" };
        let mut number = 0;
        let opening = numbered(&named_event(&json!({"type": "response.created", "response": created})), &mut number);
        let pieces = pieces.iter().map(|piece| numbered(piece, &mut number)).collect();
        let closing = end + &named_event(&json!({"type": last, "response": whole}));
        Events { opening, pieces, closing: numbered(&closing, &mut number) }
    }

    fn value(&self, answer: &Answer) -> Value {
        let status = if incomplete(answer.finish).is_some() { "incomplete" } else { "completed" };
        response(answer, status, &usage(), &output(answer).into())
    }

    fn error(&self, status: u16, message: &str) -> Value {
        json!({"error": {"message": message, "type": "scripted", "param": null, "code": status.to_string()}})
    }
}

/// Adds the numbers of events to them. `next` is the first one.
fn numbered(events: &str, next: &mut u64) -> String {
    let number = |line: &str| match line.strip_prefix("data: {") {
        Some(rest) => {
            *next += 1;
            format!("data: {{\"sequence_number\":{},{rest}", *next - 1)
        }
        None => line.to_owned(),
    };
    events.split_inclusive('\n').map(number).collect()
}

/// Adds the items of a request. An answer of several items is one message: a text with the calls that follow it, or
/// calls whose ids have the same answer in them.
fn add_items(messages: &mut Vec<Message>, items: &[Value]) {
    let mut calls: Vec<&str> = Vec::new();
    let mut has_open_text = false;
    for item in items {
        let kind = item["type"].as_str().unwrap_or("message");
        if kind == "message" {
            let role = match item["role"].as_str() {
                Some("assistant") => Role::Assistant,
                Some("user") => Role::User,
                _ => Role::System,
            };
            messages.push(Message::new(role, text(&item["content"])));
            has_open_text = role == Role::Assistant;
        } else if kind.ends_with("_call_output") || kind == SEARCH_OUTPUT {
            messages.push(Message::new(Role::Tool, text(&item["output"])));
            has_open_text = false;
        } else if kind.ends_with("_call") {
            let answer = item["call_id"].as_str().and_then(|id| id.rsplit_once('_')).map_or("", |(answer, _)| answer);
            if !has_open_text && !calls.contains(&answer) {
                messages.push(Message::new(Role::Assistant, ""));
            }
            has_open_text = false;
            calls.push(answer);
        }
    }
}

/// The tools of one entry of `tools`, which may be a group of them.
fn tools(entry: &Value) -> Vec<Tool> {
    if entry["type"] == SEARCH {
        return vec![Tool { name: SEARCH.to_owned(), group: None, schema: Some(entry["parameters"].clone()) }];
    }
    let Some(name) = entry["name"].as_str().map(str::to_owned) else { return Vec::new() };
    match entry["type"].as_str() {
        Some("function") => vec![Tool { name, group: None, schema: Some(entry["parameters"].clone()) }],
        Some("custom") => vec![Tool { name, group: None, schema: None }],
        Some("namespace") => {
            let members = items(&entry["tools"]).iter().flat_map(tools);
            members.map(|tool| Tool { group: Some(name.clone()), ..tool }).collect()
        }
        _ => Vec::new(),
    }
}

fn response(answer: &Answer, status: &str, usage: &Value, output: &Value) -> Value {
    json!({
        "id": format!("resp_{}", answer.id), "object": "response", "created_at": 0, "model": answer.model,
        "status": status, "output": output, "usage": usage, "error": null,
        "incomplete_details": incomplete(answer.finish).map(|reason| json!({"reason": reason})),
    })
}

fn output(answer: &Answer) -> Vec<Value> {
    let id = |kind: &str| format!("{kind}_{}", answer.id);
    let mut output = Vec::new();
    if !answer.thought.is_empty() {
        let summary = json!({"type": "summary_text", "text": answer.thought});
        output.push(json!({"type": "reasoning", "id": id("rs"), "summary": [summary]}));
    }
    if !answer.text.is_empty() {
        let content = json!({"type": "output_text", "text": answer.text, "annotations": []});
        output.push(json!({
            "type": "message", "id": id("msg"), "role": "assistant", "status": "completed", "content": [content],
        }));
    }
    output.extend(answer.calls.iter().map(call));
    output
}

fn call(call: &FunctionCall) -> Value {
    let mut item =
        json!({"id": format!("item_{}", call.id), "call_id": call.id, "name": call.name, "status": "completed"});
    if let Some(group) = &call.group {
        item["namespace"] = group.clone().into();
    }
    match &call.input {
        Input::Arguments(arguments) if call.name == SEARCH => {
            item["type"] = "tool_search_call".into();
            item["execution"] = "client".into();
            item["arguments"] = arguments.clone();
        }
        Input::Arguments(arguments) => {
            item["type"] = "function_call".into();
            item["arguments"] = arguments.to_string().into();
        }
        Input::Text(text) => {
            item["type"] = "custom_tool_call".into();
            item["input"] = text.clone().into();
        }
    }
    item
}

/// The item before the first delta.
fn emptied(item: &Value) -> Value {
    let mut item = item.clone();
    for (key, empty) in [("content", json!([])), ("summary", json!([])), ("arguments", json!("")), ("input", json!(""))]
    {
        if item.get(key).is_some() {
            item[key] = empty;
        }
    }
    if item.get("status").is_some() {
        item["status"] = "in_progress".into();
    }
    item
}

fn deltas(index: usize, item: &Value) -> Vec<String> {
    let delta = |kind: &str, delta: &str| {
        let kind = format!("response.{kind}.delta");
        named_event(&json!({
            "type": kind, "item_id": item["id"], "output_index": index, "content_index": 0, "summary_index": 0,
            "delta": delta,
        }))
    };
    match item["type"].as_str() {
        Some("reasoning") => {
            let thought = item["summary"][0]["text"].as_str().unwrap_or_default();
            chunks(thought).into_iter().map(|piece| delta("reasoning_summary_text", piece)).collect()
        }
        Some("message") => {
            let text = item["content"][0]["text"].as_str().unwrap_or_default();
            chunks(text).into_iter().map(|piece| delta("output_text", piece)).collect()
        }
        // The arguments are an object, which comes as a whole.
        Some("tool_search_call") => vec![String::new()],
        Some("custom_tool_call") => vec![delta("custom_tool_call_input", item["input"].as_str().unwrap_or_default())],
        _ => vec![delta("function_call_arguments", item["arguments"].as_str().unwrap_or_default())],
    }
}

/// Why an answer is incomplete, or `None` if it is complete.
fn incomplete(finish: Finish) -> Option<&'static str> {
    match finish {
        Finish::Stop | Finish::ToolCalls => None,
        Finish::Length => Some("max_output_tokens"),
        Finish::Filtered => Some("content_filter"),
    }
}

fn usage() -> Value {
    json!({
        "input_tokens": PROMPT_TOKENS, "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": COMPLETION_TOKENS, "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": PROMPT_TOKENS + COMPLETION_TOKENS,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_of_one_answer_are_one_message() {
        let call = |id: &str| json!({"type": "function_call", "call_id": id, "name": "shell", "arguments": "{}"});
        let result = |id: &str| json!({"type": "function_call_output", "call_id": id, "output": "ok"});
        let message =
            json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a"}]});
        let conversation = Responses.conversation(&json!({"instructions": "be good", "input": [
            {"role": "developer", "content": "rules"},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "go"}]},
            {"type": "reasoning", "summary": []},
            message, call("call_scripted_1_0"), result("call_scripted_1_0"), call("call_scripted_1_1"), result("call_scripted_1_1"),
            call("call_scripted_2_0"), call("call_scripted_2_1"), result("call_scripted_2_0"), result("call_scripted_2_1"),
            message,
        ]}));
        let answers = conversation.messages.iter().filter(|message| message.role == Role::Assistant);
        assert_eq!(answers.map(|message| message.text.as_str()).collect::<Vec<_>>(), ["a", "", "a"]);
        assert_eq!(conversation.messages.iter().filter(|message| message.role == Role::Tool).count(), 4);
    }

    #[test]
    fn tools_may_be_in_groups() {
        let function = |name: &str| json!({"type": "function", "name": name, "parameters": {}});
        let conversation = Responses.conversation(&json!({"tools": [
            function("exec_command"), {"type": "custom", "name": "apply_patch"}, {"type": "web_search"},
            {"type": "namespace", "name": "mcp__kugetsu__", "tools": [function("start")]},
        ]}));
        let names: Vec<_> = conversation.tools.iter().map(|tool| (tool.group.as_deref(), tool.name.as_str())).collect();
        assert_eq!(names, [(None, "exec_command"), (None, "apply_patch"), (Some("mcp__kugetsu__"), "start")]);
        assert_eq!(conversation.tools[1].schema, None);
    }

    #[test]
    fn tools_that_a_search_found_are_offered() {
        let found =
            json!({"type": "namespace", "name": "mcp__kugetsu", "tools": [{"type": "function", "name": "list"}]});
        let search = json!({"type": "tool_search", "execution": "client", "parameters": {}});
        let conversation = Responses.conversation(&json!({"tools": [search], "input": [
            {"type": "message", "role": "user", "content": "go"},
            {"type": "tool_search_call", "call_id": "call_scripted_1_0", "arguments": {"query": "list"}},
            {"type": "tool_search_output", "call_id": "call_scripted_1_0", "tools": [found]},
        ]}));
        let names: Vec<_> = conversation.tools.iter().map(|tool| (tool.group.as_deref(), tool.name.as_str())).collect();
        assert_eq!(names, [(None, "tool_search"), (Some("mcp__kugetsu"), "list")]);
        assert!(matches!(conversation.messages.last().unwrap().role, Role::Tool));
        let query = Input::Arguments(json!({"query": "list"}));
        let item = call(&FunctionCall { id: "call_x_0".into(), name: SEARCH.into(), group: None, input: query });
        assert_eq!((&item["type"], &item["arguments"]["query"]), (&"tool_search_call".into(), &"list".into()));
    }
}
