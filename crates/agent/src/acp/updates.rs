//! Converts session updates of the protocol to events.
//!
//! It is lenient, so that kugetsu works with newer agents: a field of an unexpected type counts as missing, and an update of
//! an unknown kind causes no event.

use serde_json::Value;

use super::state::{SessionState, ToolCall, codex_failure, cost};
use crate::event::{AgentEvent, PlanState, PlanStep};
use crate::tool::ToolKind;
use crate::truncate::{INPUT_MAX, LINE_MAX, OUTPUT_MAX, TEXT_MAX, readable, truncate};
use crate::usage::tokens;

/// Steps of a plan that are read.
const STEPS_MAX: usize = 200;
/// Parts of a tool's output that are read.
const PARTS_MAX: usize = 1000;
/// Tool calls that are tracked at once.
const TOOLS_MAX: usize = 1024;

/// Returns the events of a `session/update`.
pub(super) fn events(update: &Value, state: &mut SessionState) -> Vec<AgentEvent> {
    let text = || content(&update["content"]).map(|text| truncate(text, TEXT_MAX));
    match update["sessionUpdate"].as_str().unwrap_or_default() {
        "agent_message_chunk" => Vec::from_iter(text().map(|text| AgentEvent::Text { text })),
        "agent_thought_chunk" => Vec::from_iter(text().map(|text| AgentEvent::Thought { text })),
        "tool_call" | "tool_call_update" => tool_call(update, state),
        "plan" => vec![AgentEvent::Plan { steps: plan(&update["entries"]) }],
        "usage_update" => vec![AgentEvent::Usage {
            cost_usd: state.record_cost(cost(&update["cost"])),
            context_used: tokens(&update["used"]),
            context_size: tokens(&update["size"]),
        }],
        // Only what codex adds to it is of interest. Its notice is also a sign of life.
        "session_info_update" => {
            let failure = codex_failure(&update["_meta"]["codex"]);
            Vec::from_iter(failure.map(|failure| AgentEvent::Notice { text: format!("The model failed: {failure}") }))
        }
        _ => Vec::new(),
    }
}

/// Returns the text of a content block, or the kind of a block that is not text.
fn content(block: &Value) -> Option<String> {
    match block["type"].as_str()? {
        "text" => block["text"].as_str().filter(|text| !text.is_empty()).map(str::to_owned),
        "resource_link" => Some(format!("[{}]", truncate(block["uri"].as_str()?.to_owned(), LINE_MAX))),
        other => Some(format!("[{}]", truncate(other.to_owned(), LINE_MAX))),
    }
}

fn plan(entries: &Value) -> Vec<PlanStep> {
    let entries = entries.as_array().map_or(&[][..], Vec::as_slice);
    entries
        .iter()
        .take(STEPS_MAX)
        .filter_map(|entry| {
            let text = truncate(entry["content"].as_str()?.to_owned(), LINE_MAX);
            let state = match entry["status"].as_str() {
                Some("in_progress") => PlanState::InProgress,
                Some("completed") => PlanState::Completed,
                _ => PlanState::Pending,
            };
            Some(PlanStep { text, state })
        })
        .collect()
}

fn tool_call(update: &Value, state: &mut SessionState) -> Vec<AgentEvent> {
    let Some(id) = update["toolCallId"].as_str().map(|id| truncate(id.to_owned(), LINE_MAX)) else {
        return Vec::new();
    };
    let new = ToolCall {
        title: truncate(update["title"].as_str().unwrap_or_default().to_owned(), LINE_MAX),
        input: readable(&update["rawInput"], INPUT_MAX),
        output: output(update),
    };
    let ended = match update["status"].as_str() {
        Some("completed") => Some(true),
        Some("failed") => Some(false),
        _ => None,
    };
    let mut events = Vec::new();
    // Not only for "tool_call": after a crash opencode continues a tool call that it announced to an earlier process.
    if !state.tools.contains_key(&id) {
        if state.tools.len() >= TOOLS_MAX {
            state.tools.clear();
        }
        let title = if new.title.is_empty() { "a tool".to_owned() } else { new.title.clone() };
        let kind = ToolKind::from_wire(update["kind"].as_str().unwrap_or_default());
        events.push(AgentEvent::ToolStarted { id: id.clone(), title: title.clone(), kind, input: new.input.clone() });
        state.tools.insert(id.clone(), ToolCall { title, input: new.input.clone(), output: String::new() });
    }
    if let Some(ok) = ended {
        let known = state.tools.remove(&id).unwrap_or_default();
        state.tool_ended();
        let latest = |new: String, known: String| if new.is_empty() { known } else { new };
        events.push(AgentEvent::ToolEnded {
            id,
            title: latest(new.title, known.title),
            input: latest(new.input, known.input),
            ok,
            exit_code: exit_code(&update["rawOutput"]),
            output: latest(new.output, known.output),
        });
        return events;
    }
    if let Some(known) = state.tools.get_mut(&id) {
        let title = changed(&mut known.title, new.title);
        let input = changed(&mut known.input, new.input);
        let output = changed(&mut known.output, new.output);
        if title.is_some() || input.is_some() || output.is_some() {
            events.push(AgentEvent::ToolChanged { id, title, input, output });
        }
    }
    events
}

/// Replaces the known text by a new one, and returns it, if the new one is present and differs.
fn changed(known: &mut String, new: String) -> Option<String> {
    if new.is_empty() || *known == new {
        return None;
    }
    known.clone_from(&new);
    Some(new)
}

/// Returns the exit code of a command: opencode reports it in the metadata, codex as a field.
fn exit_code(raw: &Value) -> Option<i32> {
    let code = [&raw["metadata"]["exit"], &raw["exit_code"], &raw["exitCode"]].into_iter().find_map(Value::as_i64)?;
    i32::try_from(code).ok()
}

/// Returns the content of a tool call, or its raw output if it has none.
fn output(update: &Value) -> String {
    let blocks = update["content"].as_array().map_or(&[][..], Vec::as_slice);
    let parts: Vec<String> = blocks
        .iter()
        .take(PARTS_MAX)
        .filter_map(|block| match block["type"].as_str()? {
            "content" => content(&block["content"]),
            "diff" => Some(format!("[changed {}]", truncate(block["path"].as_str()?.to_owned(), LINE_MAX))),
            _ => None,
        })
        .collect();
    if !parts.is_empty() {
        return truncate(parts.join("\n"), OUTPUT_MAX);
    }
    let raw = &update["rawOutput"];
    let text = [&raw["output"], &raw["error"]].into_iter().find(|value| value.is_string()).unwrap_or(raw);
    readable(text, OUTPUT_MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(state: &mut SessionState, update: Value) -> Vec<String> {
        events(&update, state).iter().map(|event| format!("{event:?}")).collect()
    }

    #[test]
    fn tool_call_starts_changes_and_ends_once() {
        let mut state = SessionState::default();
        let call = |status: &str, title: &str| json!({"sessionUpdate": "tool_call_update", "toolCallId": "c", "title": title, "kind": "execute", "status": status});
        let mut start = call("pending", "bash");
        start["sessionUpdate"] = "tool_call".into();
        assert_eq!(shown(&mut state, start), [r#"ToolStarted { id: "c", title: "bash", kind: Execute, input: "" }"#]);
        assert_eq!(shown(&mut state, call("in_progress", "echo hi")).len(), 1);
        assert!(shown(&mut state, call("in_progress", "echo hi")).is_empty());
        let mut end = call("completed", "echo hi");
        end["content"] = json!([{"type": "content", "content": {"type": "text", "text": "hi\n"}}]);
        assert_eq!(
            shown(&mut state, end),
            [r#"ToolEnded { id: "c", title: "echo hi", input: "", ok: true, exit_code: None, output: "hi\n" }"#]
        );
        assert!(state.tools.is_empty());
    }

    #[test]
    fn tool_call_that_was_not_announced_is_shown() {
        let events = shown(
            &mut SessionState::default(),
            json!({"sessionUpdate": "tool_call_update", "toolCallId": "c", "status": "failed", "rawOutput": {"error": "no"}}),
        );
        assert_eq!(events.len(), 2);
        assert_eq!(
            events[1],
            r#"ToolEnded { id: "c", title: "a tool", input: "", ok: false, exit_code: None, output: "no" }"#
        );
    }

    #[test]
    fn malformed_updates_are_tolerated() {
        let mut state = SessionState::default();
        for update in [
            json!(null),
            json!([]),
            json!({"sessionUpdate": 7}),
            json!({"sessionUpdate": "from_the_future", "x": {}}),
            json!({"sessionUpdate": "tool_call"}),
            json!({"sessionUpdate": "agent_message_chunk", "content": "text"}),
            json!({"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": 5}}),
        ] {
            assert!(events(&update, &mut state).is_empty(), "{update}");
        }
        for update in
            [json!({"sessionUpdate": "plan", "entries": 5}), json!({"sessionUpdate": "usage_update", "used": -1})]
        {
            assert_eq!(events(&update, &mut state).len(), 1);
        }
    }

    #[test]
    fn long_text_is_truncated() {
        let text = "x".repeat(TEXT_MAX * 3);
        let update = json!({"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text}});
        let [AgentEvent::Text { text }] = &events(&update, &mut SessionState::default())[..] else { panic!("no text") };
        assert!(text.len() < TEXT_MAX + 40 && text.ends_with("more bytes]"));
    }
}
