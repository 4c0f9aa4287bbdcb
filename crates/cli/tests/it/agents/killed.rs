//! An agent that is killed is tried again like a lost run, in the same session.

use kugetsu_agent::Exception;
use kugetsu_testkit::{RealAgent, Step, eventually_within};

use super::stage::{Stage, TIMEOUT, with_each_agent};
use crate::world::kill;

fn is_tried_again_when_killed(agent: RealAgent) {
    let Some(stage) = Stage::new(agent) else { return };
    let Stage { world, repository, model, .. } = &stage;
    let commit = Step::bash("git add -A && git commit -qm 'add half'");
    let steps = [Step::write("half.txt", "half\n"), Step::wait("go"), commit, Step::Say("All done.".into())];
    let reference = stage.queue(steps);
    eventually_within(TIMEOUT, "the second model request", || (model.turn_requests().len() >= 2).then_some(()));
    let first = world.latest(&reference);
    // Some start themselves again as a child, which would finish the work alone.
    let mut agents = world.home.processes();
    agents.retain(|process| process.command.contains(agent.program));
    assert!(!agents.is_empty(), "{:?}", world.home.processes());
    agents.iter().for_each(|process| kill(process.pid));
    model.open_gate("go");

    let run = stage.ended(&reference);
    assert_eq!((&run["state"], &run["commits"]), (&"done".into(), &1.into()), "{run}");
    assert_ne!(run["run"], first["run"]);
    if !stage.has(Exception::YoungSessions) {
        assert_eq!(run["session_id"], first["session_id"], "{run}");
    }
    assert_eq!(repository.show_text(run["branch"].as_str().unwrap(), "half.txt"), "half\n");
    assert_eq!(world.processes(agent.program), Vec::<i32>::new());
    assert_eq!(world.processes(run["worktree"].as_str().unwrap()), Vec::<i32>::new());
}

with_each_agent! {
    is_tried_again_when_killed:
    needs_opencode_is_tried_again_when_killed OPENCODE,
    needs_claude_is_tried_again_when_killed CLAUDE,
    needs_codex_is_tried_again_when_killed CODEX,
    needs_gemini_is_tried_again_when_killed GEMINI,
    needs_copilot_is_tried_again_when_killed COPILOT,
    needs_goose_is_tried_again_when_killed GOOSE,
    needs_qwen_is_tried_again_when_killed QWEN,
    needs_kimi_is_tried_again_when_killed KIMI,
    needs_vibe_is_tried_again_when_killed VIBE,
}
