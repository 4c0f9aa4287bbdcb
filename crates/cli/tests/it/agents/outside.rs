//! With `agent.permissions = "allow"` and without a sandbox, files outside of the worktree can be written.

use kugetsu_agent::Exception;
use kugetsu_testkit::{RealAgent, Step};

use super::stage::{Stage, with_each_agent};

fn writes_outside_when_allowed(agent: RealAgent) {
    let Some(stage) = Stage::new(agent) else { return };
    stage.world.run(["config", "set", "run.sandbox", "off"]);
    let outside = stage.world.home.folder("outside");
    let (edited, ran) = (outside.join("edited.txt"), outside.join("ran.txt"));
    let steps = [
        Step::bash(&format!("echo ran > {}", ran.display())),
        Step::write(edited.to_str().unwrap(), "edited\n"),
        Step::Say("Both are written.".into()),
    ];
    let reference = stage.queue(steps);
    let run = stage.ended(&reference);
    assert_eq!(run["state"], "done", "{run}");
    assert!(ran.exists());
    assert_eq!(edited.exists(), !stage.has(Exception::NoEditsOutside));
}

with_each_agent! {
    writes_outside_when_allowed:
    needs_opencode_writes_outside_when_allowed OPENCODE,
    needs_claude_writes_outside_when_allowed CLAUDE,
    needs_codex_writes_outside_when_allowed CODEX,
    needs_gemini_writes_outside_when_allowed GEMINI,
    needs_copilot_writes_outside_when_allowed COPILOT,
    needs_goose_writes_outside_when_allowed GOOSE,
    needs_qwen_writes_outside_when_allowed QWEN,
    needs_kimi_writes_outside_when_allowed KIMI,
    needs_vibe_writes_outside_when_allowed VIBE,
}
