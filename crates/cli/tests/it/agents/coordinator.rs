//! The coordinator can call its tools.

use kugetsu_agent::Supported;
use kugetsu_testkit::{RealAgent, Step};
use serde_json::{Value, json};

use super::stage::{Stage, message, with_each_agent};
use crate::world::shown;

fn has_its_tools(agent: RealAgent) {
    let Some(stage) = Stage::new(agent) else { return };
    let steps = [Step::call("kugetsu_list", json!({})), Step::Say("Nothing runs.".into())];
    let output = stage.world.try_in(stage.repository.path(), ["delegate", &message(steps), "--wait", "--json"]);
    if let Some(why) = stage.profile.no_coordinator() {
        assert_eq!(output.status.code(), Some(2), "{}", shown(&output));
        assert!(shown(&output).contains(why), "{}", shown(&output));
        assert_eq!(stage.profile.tool_support().1, why);
        return;
    }
    if stage.profile.tool_support().0 == Supported::Unknown {
        // Its model has to search for tools first, which no test does: it may call them, or the run fails.
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
