//! The shapes of what the agent reports, as opencode reports it.

use serde_json::{Value, json};

pub(super) const SIZE_OF_CONTEXT: u64 = 100_000;

/// A piece of a message: `agent_message_chunk`, `agent_thought_chunk` or `user_message_chunk`.
pub(super) fn chunk(kind: &str, message_id: &str, text: &str) -> Value {
    json!({"sessionUpdate": kind, "messageId": message_id, "content": {"type": "text", "text": text}})
}

/// A tool that is about to be used.
pub(super) fn tool_call(id: &str, name: &str, kind: &str, input: &Value) -> Value {
    json!({
        "sessionUpdate": "tool_call", "toolCallId": id, "title": name, "kind": kind, "status": "pending",
        "locations": locations(input), "rawInput": input,
    })
}

/// A tool that is being used.
pub(super) fn tool_in_progress(id: &str, title: &str, kind: &str, input: &Value) -> Value {
    json!({
        "sessionUpdate": "tool_call_update", "toolCallId": id, "status": "in_progress", "kind": kind, "title": title,
        "locations": locations(input), "rawInput": input,
    })
}

/// A tool that has come to its end. `metadata` is for instance `{"exit": 0}`.
pub(super) fn tool_completed(id: &str, title: &str, output: &str, metadata: &Value) -> Value {
    json!({
        "sessionUpdate": "tool_call_update", "toolCallId": id, "status": "completed", "title": title,
        "content": [{"type": "content", "content": {"type": "text", "text": output}}],
        "rawOutput": {"output": output, "metadata": metadata},
    })
}

/// A tool that was not used, or failed.
pub(super) fn tool_failed(id: &str, title: &str, kind: &str, error: &str) -> Value {
    json!({
        "sessionUpdate": "tool_call_update", "toolCallId": id, "status": "failed", "kind": kind, "title": title,
        "content": [{"type": "content", "content": {"type": "text", "text": error}}],
        "rawOutput": {"error": error},
    })
}

/// The question whether a tool may be used.
pub(super) fn permission(session: &str, tool_id: &str, title: &str) -> Value {
    json!({
        "sessionId": session,
        "toolCall": {
            "toolCallId": tool_id, "title": title, "kind": "execute", "status": "pending", "locations": [],
            "rawInput": {"command": title},
        },
        "options": [
            {"optionId": "once", "kind": "allow_once", "name": "Allow once"},
            {"optionId": "always", "kind": "allow_always", "name": "Always allow"},
            {"optionId": "reject", "kind": "reject_once", "name": "Reject"},
        ],
    })
}

/// What the session has used. `cost` is all of the session's so far, in US dollars.
pub(super) fn usage(used: u64, cost: f64) -> Value {
    json!({
        "sessionUpdate": "usage_update", "used": used, "size": SIZE_OF_CONTEXT,
        "cost": {"amount": cost, "currency": "USD"},
    })
}

/// The models that a session can be set to; the first is the default.
pub const MODELS: [&str; 2] = ["scripted/one", "scripted/two"];

/// The options of a session whose model is `model`.
pub(super) fn config_options(model: &str) -> Value {
    let models = MODELS.map(|name| json!({"value": name, "name": name}));
    json!([
        {
            "id": "model", "name": "Model", "category": "model", "type": "select", "currentValue": model,
            "options": models,
        },
        {
            "id": "mode", "name": "Session Mode", "category": "mode", "type": "select", "currentValue": "build",
            "options": [{"value": "build", "name": "build"}, {"value": "plan", "name": "plan"}],
        },
    ])
}

/// The slash commands, which opencode tells in the first notification of a session.
pub(super) fn available_commands() -> Value {
    json!({
        "sessionUpdate": "available_commands_update",
        "availableCommands": [{"name": "init", "description": "guided AGENTS.md setup"}],
    })
}

fn locations(input: &Value) -> Value {
    let path = input["filePath"].as_str().or_else(|| input["cwd"].as_str());
    path.map_or(json!([]), |path| json!([{"path": path}]))
}
