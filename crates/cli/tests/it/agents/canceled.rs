//! A canceled run ends with all that it started, and the issue can be continued.

use kugetsu_testkit::model::script::Hang;
use kugetsu_testkit::{RealAgent, Step, eventually_within};

use super::stage::{Stage, TIMEOUT, message, with_each_agent};

fn ends_when_canceled(agent: RealAgent) {
    let Some(stage) = Stage::new(agent) else { return };
    let Stage { world, repository, model, .. } = &stage;
    let leave = Step::bash("setsid nohup sleep 7777 > /dev/null 2>&1 & echo left");
    let steps = [leave, Step::Hang(Hang { text: "and then".into() })];
    let reference = world.queue(repository, &message(steps));
    eventually_within(TIMEOUT, "the model to hang", || (model.turn_requests().len() >= 2).then_some(()));
    world.run(["queue", "cancel", &reference]);
    world.await_state(&reference, "canceled");
    assert_eq!(world.processes(agent.program), Vec::<i32>::new());
    assert_eq!(world.processes("sleep 7777"), Vec::<i32>::new());
}

with_each_agent! {
    ends_when_canceled:
    needs_opencode_ends_when_canceled OPENCODE,
    needs_claude_ends_when_canceled CLAUDE,
    needs_codex_ends_when_canceled CODEX,
    needs_gemini_ends_when_canceled GEMINI,
    needs_copilot_ends_when_canceled COPILOT,
    needs_goose_ends_when_canceled GOOSE,
    needs_qwen_ends_when_canceled QWEN,
    needs_kimi_ends_when_canceled KIMI,
    needs_vibe_ends_when_canceled VIBE,
}
