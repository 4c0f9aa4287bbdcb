//! A model that stops answering ends the run at `run.silence`.

use kugetsu_testkit::model::script::Hang;
use kugetsu_testkit::{RealAgent, Step, eventually_within};

use super::stage::{Stage, TIMEOUT, message, with_each_agent};

fn ends_at_the_silence_limit(agent: RealAgent) {
    let Some(stage) = Stage::new(agent) else { return };
    let Stage { world, repository, model, .. } = &stage;
    let steps = [Step::write("kept.txt", "kept\n"), Step::Hang(Hang { text: "and then".into() })];
    let reference = world.queue(repository, &message(steps));
    eventually_within(TIMEOUT, "the model to hang", || (model.turn_requests().len() >= 2).then_some(()));
    world.run(["config", "set", "run.silence", "2s"]);
    let run = world.await_state(&reference, "timeout");
    assert!(run["reason"].as_str().unwrap().contains("run.silence"), "{run}");
    let worktree = world.worktree("local/demo#1");
    assert!(worktree.join("kept.txt").exists());
    assert_eq!(world.processes(worktree.to_str().unwrap()), Vec::<i32>::new());
    assert_eq!(world.processes(agent.program), Vec::<i32>::new());
    assert_eq!(world.json(["rescue", "list", "--json"]).as_array().unwrap().len(), 1);
}

with_each_agent! {
    ends_at_the_silence_limit:
    needs_opencode_silent_model_ends_the_run OPENCODE,
    needs_claude_silent_model_ends_the_run CLAUDE,
    needs_codex_silent_model_ends_the_run CODEX,
    needs_gemini_silent_model_ends_the_run GEMINI,
    needs_copilot_silent_model_ends_the_run COPILOT,
    needs_goose_silent_model_ends_the_run GOOSE,
    needs_qwen_silent_model_ends_the_run QWEN,
    needs_kimi_silent_model_ends_the_run KIMI,
    needs_vibe_silent_model_ends_the_run VIBE,
}
