//! A task is started, the agent writes a file and commits it, and the branch is pushed.

use kugetsu_testkit::{RealAgent, Step};

use super::stage::{Stage, message, with_each_agent, work};

fn pushes_its_commit(agent: RealAgent) {
    let Some(stage) = Stage::new(agent) else { return };
    let Stage { world, repository, .. } = &stage;
    // Gemini refuses commands with `$(...)`.
    let location =
        Step::bash("pwd > location.txt; echo at $PWD prompt $GIT_TERMINAL_PROMPT editor $GIT_EDITOR >> location.txt");
    let steps = [location].into_iter().chain(work()).chain([Step::Say("All done.".into())]);
    let (run, code) = world.start(repository, &message(steps));
    assert_eq!((run["state"].as_str(), code), (Some("done"), 0), "{run}");
    assert_eq!(
        (&run["pushed"], &run["commits"], &run["agent"]),
        (&true.into(), &1.into(), &agent.name.into()),
        "{run}"
    );
    let branch = run["branch"].as_str().unwrap();
    assert_eq!(repository.show_text(branch, "a.txt"), "one\n");
    let worktree = run["worktree"].as_str().unwrap();
    let location = format!("{worktree}\nat {worktree} prompt 0 editor true\n");
    assert_eq!(repository.show_text(branch, "location.txt"), location);
    // Nothing of the agent itself is committed, and nothing of it is left running.
    let mut files: Vec<_> = repository.files(branch).iter().map(|path| path.display().to_string()).collect();
    files.sort();
    assert_eq!(files, ["README.md", "a.txt", "location.txt"]);
    assert_eq!(world.processes(worktree), Vec::<i32>::new());
    assert!(world.agent_text("local/demo#1").contains("All done."), "{}", world.agent_text("local/demo#1"));
}

with_each_agent! {
    pushes_its_commit:
    needs_opencode_pushes_its_commit OPENCODE,
    needs_claude_pushes_its_commit CLAUDE,
    needs_codex_pushes_its_commit CODEX,
    needs_gemini_pushes_its_commit GEMINI,
    needs_copilot_pushes_its_commit COPILOT,
    needs_goose_pushes_its_commit GOOSE,
    needs_qwen_pushes_its_commit QWEN,
    needs_kimi_pushes_its_commit KIMI,
    needs_vibe_pushes_its_commit VIBE,
}
