//! The agent's updates in the shape that opencode gives them.

use serde_json::{Value, json};

pub(super) const CONTEXT_SIZE: u64 = 100_000;

/// A piece of a message: `agent_message_chunk`, `agent_thought_chunk` or `user_message_chunk`.
pub(super) fn chunk(kind: &str, message_id: &str, text: &str) -> Value {
    json!({"sessionUpdate": kind, "messageId": message_id, "content": {"type": "text", "text": text}})
}

/// A tool call that has not started.
pub(super) fn tool_call(id: &str, name: &str, kind: &str, input: &Value) -> Value {
    json!({
        "sessionUpdate": "tool_call", "toolCallId": id, "title": name, "kind": kind, "status": "pending",
        "locations": locations(input), "rawInput": input,
    })
}

/// A tool call in progress.
pub(super) fn tool_in_progress(id: &str, title: &str, kind: &str, input: &Value) -> Value {
    json!({
        "sessionUpdate": "tool_call_update", "toolCallId": id, "status": "in_progress", "kind": kind, "title": title,
        "locations": locations(input), "rawInput": input,
    })
}

/// A tool call that succeeded. `metadata` is for example `{"exit": 0}`.
pub(super) fn tool_completed(id: &str, title: &str, output: &str, metadata: &Value) -> Value {
    json!({
        "sessionUpdate": "tool_call_update", "toolCallId": id, "status": "completed", "title": title,
        "content": [{"type": "content", "content": {"type": "text", "text": output}}],
        "rawOutput": {"output": output, "metadata": metadata},
    })
}

/// A tool call that failed or was rejected.
pub(super) fn tool_failed(id: &str, title: &str, kind: &str, error: &str) -> Value {
    json!({
        "sessionUpdate": "tool_call_update", "toolCallId": id, "status": "failed", "kind": kind, "title": title,
        "content": [{"type": "content", "content": {"type": "text", "text": error}}],
        "rawOutput": {"error": error},
    })
}

/// The parameters of a permission request for a tool call.
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

/// The session's usage. `cost` is the session's total in US dollars.
pub(super) fn usage(used: u64, cost: f64) -> Value {
    json!({
        "sessionUpdate": "usage_update", "used": used, "size": CONTEXT_SIZE,
        "cost": {"amount": cost, "currency": "USD"},
    })
}

/// The available models; the first is the default.
pub const MODELS: [&str; 2] = ["scripted/one", "scripted/two"];

/// The configuration options of a session that uses `model`.
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

/// The slash commands, which opencode sends as the first notification of a session.
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
