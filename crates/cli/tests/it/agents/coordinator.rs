//! The coordinator can call its tools.

use kugetsu_testkit::{RealAgent, Step};
use serde_json::{Value, json};

use super::stage::{Stage, message, with_each_agent};
use crate::world::shown;

/// How the model finds the tools, where the agent does not show them at once.
fn search(agent: RealAgent) -> Option<Step> {
    match agent.name {
        "codex" => Some(Step::call("tool_search", json!({"query": "kugetsu list"}))),
        "vibe" => Some(Step::call("search_tool_functions", json!({"query": "kugetsu list"}))),
        _ => None,
    }
}

/// The call of a tool. Vibe's model calls tools in programs.
fn list(agent: RealAgent) -> Step {
    match agent.name {
        "vibe" => Step::call("run_typescript", json!({"code": "return await tools.mcp_kugetsu.list({});"})),
        _ => Step::call("kugetsu_list", json!({})),
    }
}

fn has_its_tools(agent: RealAgent) {
    let Some(stage) = Stage::new(agent) else { return };
    let steps = search(agent).into_iter().chain([list(agent), Step::Say("Nothing runs.".into())]);
    let output = stage.world.try_in(stage.repository.path(), ["delegate", &message(steps), "--wait", "--json"]);
    if let Some(why) = stage.profile.no_coordinator() {
        assert_eq!(output.status.code(), Some(2), "{}", shown(&output));
        assert!(shown(&output).contains(why), "{}", shown(&output));
        assert_eq!(stage.profile.tool_support().1, why);
        return;
    }
    assert!(output.status.success(), "{}", shown(&output));
    let called: Vec<Value> = stage.world.records("pm", "tool_ended");
    let lists = |tool: &Value| tool["ok"] == true && tool["output"].to_string().contains("left_out");
    assert!(called.iter().any(lists), "{called:?}");
}

with_each_agent! {
    has_its_tools:
    needs_opencode_has_the_coordinators_tools OPENCODE,
    needs_claude_has_the_coordinators_tools CLAUDE,
    needs_codex_has_the_coordinators_tools CODEX,
    needs_gemini_has_the_coordinators_tools GEMINI,
    needs_copilot_has_the_coordinators_tools COPILOT,
    needs_goose_has_the_coordinators_tools GOOSE,
    needs_qwen_has_the_coordinators_tools QWEN,
    needs_kimi_has_the_coordinators_tools KIMI,
    needs_vibe_has_the_coordinators_tools VIBE,
}
