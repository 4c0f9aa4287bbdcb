//! An issue is continued in the same session, in another process of the agent.

use std::time::{Duration, SystemTime};

use kugetsu_testkit::{RealAgent, Step};

use super::stage::{Stage, message, with_each_agent, work};
use crate::world::ended;

fn continues_its_session(agent: RealAgent) {
    let Some(stage) = Stage::new(agent) else { return };
    let Stage { world, repository, model, .. } = &stage;
    let (first, code) = world.start(repository, &message(work()));
    assert_eq!((first["state"].as_str(), code), (Some("done"), 0), "{first}");
    world.home.kill_processes();
    if agent.name == "gemini" {
        // It loses a session that it loads in the minute in which the session began.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        std::thread::sleep(Duration::from_secs(60 - now.as_secs() % 60));
    }

    let commit = Step::bash("git add -A && git commit -qm 'add b'");
    let steps = [Step::write("b.txt", "two\n"), commit, Step::Say("Done again.".into())];
    let again = format!("once more, {}", message(steps));
    let (second, _) = ended(&world.attempt(["continue", "local/demo#1", &again, "--wait", "--json"]));
    assert_eq!(second["state"], "done", "{second}");
    assert_eq!((&second["session_id"], &second["worktree"]), (&first["session_id"], &first["worktree"]));
    assert_eq!(repository.show_text(second["branch"].as_str().unwrap(), "b.txt"), "two\n");
    let prompts = model.turn_requests().pop().unwrap().texts("user").join("\n");
    assert_eq!(prompts.matches("do the job").count(), 2, "the model sees both messages: {prompts}");
}

with_each_agent! {
    continues_its_session:
    needs_opencode_continues_its_session OPENCODE,
    needs_claude_continues_its_session CLAUDE,
    needs_codex_continues_its_session CODEX,
    needs_gemini_continues_its_session GEMINI,
    needs_copilot_continues_its_session COPILOT,
    needs_goose_continues_its_session GOOSE,
    needs_qwen_continues_its_session QWEN,
    needs_kimi_continues_its_session KIMI,
    needs_vibe_continues_its_session VIBE,
}
