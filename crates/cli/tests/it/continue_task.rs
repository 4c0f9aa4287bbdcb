//! `continue`: the same session in the same worktree.

use serde_json::json;

use crate::world::{World, ended, script};

#[test]
fn continue_keeps_session_and_directory() {
    let world = World::new();
    let repository = world.repository("demo");
    let (first, _) = world.start(&repository, &script(&["write a.txt a", "commit one"]));
    let output = world.try_in(
        repository.path(),
        ["continue", ".", &script(&["history", "pwd", "write b.txt b", "commit two"]), "--wait", "--json"],
    );
    let (second, code) = crate::world::ended(&output);
    assert_eq!(code, 0, "{second}");
    assert_eq!(second["session_id"], first["session_id"]);
    assert_eq!(second["worktree"], first["worktree"]);
    assert_ne!(second["run"], first["run"]);
    assert_eq!(second["commits"], 2);
    let text = world.agent_text("local/demo#1");
    assert!(text.contains("1 earlier"), "{text}");
    assert!(text.contains(&format!("session {}", first["worktree"].as_str().unwrap())), "{text}");
    assert_eq!(repository.show_text("kugetsu/1-do-the-job", "b.txt"), "b\n");
}

#[test]
fn continue_works_after_all_processes_have_ended() {
    let world = World::new();
    let repository = world.repository("demo");
    let (first, _) = world.start(&repository, &script(&["write a.txt a", "commit one"]));
    world.home.kill_processes();
    world.run([
        "continue",
        "local/demo#1",
        &script(&["history", "commit nothing to do", "write b b", "commit two"]),
        "--wait",
    ]);
    let second = world.latest("local/demo#1");
    assert_eq!((&second["session_id"], &second["worktree"]), (&first["session_id"], &first["worktree"]));
    assert!(world.agent_text("local/demo#1").contains("1 earlier"));
}

#[test]
fn continue_accepts_a_session_and_needs_no_slot() {
    let world = World::new();
    world.run(["config", "set", "agents.max", "1"]);
    let repository = world.repository("demo");
    let (first, _) = world.start(&repository, &script(&["say hello"]));
    let busy = world.queue(&repository, &script(&["say ready", "hang"]));
    world.await_state(&busy, "running");
    let session = first["session_id"].as_str().unwrap();
    world.run(["continue", session, &script(&["say again"]), "--wait"]);
    assert!(world.agent_text("local/demo#1").contains("again"));
    assert_eq!(world.latest(&busy)["state"], "running");
}

/// The scripted agent reports the cost of the whole session, as many agents do.
#[test]
fn runs_of_a_session_add_up_to_its_total() {
    let world = World::new();
    let repository = world.repository("demo");
    let (first, _) = world.start(&repository, &script(&["say one", "usage 0.5 100 10"]));
    assert_eq!(first["usage"], json!({"cost_usd": 0.5, "input_tokens": 100, "output_tokens": 10}));
    world.run(["continue", "local/demo#1", &script(&["say two", "usage 0.25 70 7"]), "--wait"]);
    let second = world.latest("local/demo#1");
    assert_eq!(second["session_id"], first["session_id"]);
    assert_eq!(second["usage"], json!({"cost_usd": 0.25, "input_tokens": 70, "output_tokens": 7}));

    world.attempt(["continue", "local/demo#1", &script(&["say three", "exit 3"]), "--wait"]);
    let unknown = world.latest("local/demo#1");
    assert_eq!(unknown["usage"], json!({"cost_usd": null, "input_tokens": null, "output_tokens": null}), "{unknown}");
    let shown = world.run(["queue", "show", unknown["task"].as_str().unwrap()]);
    assert!(shown.contains("usage") && shown.contains("unknown"), "{shown}");

    world.run(["continue", "local/demo#1", &script(&["say four", "usage 0.125 7 1"]), "--wait"]);
    assert_eq!(world.latest("local/demo#1")["usage"]["cost_usd"], 0.125);
    world.attempt(["push", "local/demo#1", "--wait"]);
    let pushed = world.latest("local/demo#1");
    assert_eq!(pushed["usage"], json!({"cost_usd": 0.0, "input_tokens": 0, "output_tokens": 0}), "it needs no agent");
    world.run(["continue", "local/demo#1", &script(&["say five", "usage 1 7 1"]), "--wait"]);
    assert_eq!(world.latest("local/demo#1")["usage"]["cost_usd"], 1.0);
}

#[test]
fn continue_queues_behind_the_current_turn() {
    let world = World::new();
    let repository = world.repository("demo");
    let reference = world.queue(&repository, &script(&["say ready", "wait go", "say first is done"]));
    kugetsu_testkit::eventually("the agent to start", || world.agent_text(&reference).contains("ready").then_some(()));
    let behind = world.run(["continue", &reference, &script(&["say second"])]);
    assert!(behind.contains("queued"), "{behind}");
    world.release_agents();
    kugetsu_testkit::eventually("both turns to end", || world.agent_text(&reference).contains("second").then_some(()));
    let text = world.agent_text(&reference);
    let (first, second) = (text.find("first is done").unwrap(), text.find("second").unwrap());
    assert!(first < second, "{text}");
}

#[test]
fn interrupt_cancels_the_current_turn() {
    let world = World::new();
    let repository = world.repository("demo");
    let reference = world.queue(&repository, &script(&["say ready", "hang"]));
    kugetsu_testkit::eventually("the agent to start", || world.agent_text(&reference).contains("ready").then_some(()));
    world.run(["continue", &reference, &script(&["say second"]), "--interrupt", "--wait"]);
    assert!(world.agent_text(&reference).contains("second"));
}

#[test]
fn lost_session_is_replaced_with_a_hand_over() {
    let world = World::new();
    let repository = world.repository("demo");
    let (first, _) = world.start(&repository, &script(&["write a.txt a", "commit one"]));
    std::fs::remove_dir_all(world.home.user().join(".local/share/kugetsu-scripted-agent")).unwrap();
    world.run(["continue", "local/demo#1", &script(&["say continuing"]), "--wait"]);
    let second = world.latest("local/demo#1");
    assert_ne!(second["session_id"], first["session_id"]);
    assert_eq!(second["worktree"], first["worktree"]);
    let prompts = world.records("local/demo#1", "prompt");
    let text = prompts[1]["text"].as_str().unwrap();
    assert!(text.contains("What happened before") && text.contains("> do the job"), "{text}");
    assert!(world.run(["logs", "local/demo#1"]).contains("new session"));
}

#[test]
fn continue_without_earlier_work_fails_with_a_hint() {
    let world = World::new();
    let repository = world.repository("demo");
    for reference in [".", "local/demo#7", "ses_nothing", "https://github.com/acme/api/issues/1"] {
        let output = world.try_in(repository.path(), ["continue", reference, "more"]);
        assert_eq!(output.status.code(), Some(2), "{}", crate::world::shown(&output));
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains("hint:") || text.contains("kugetsu "), "{text}");
    }
}

#[test]
fn agent_of_an_issue_is_kept_without_a_session() {
    let mut world = World::new();
    // Another agent than the default one, which fails before it opens a session.
    let program = world.home.path().join("broken-agent");
    std::fs::write(&program, "#!/bin/sh\nexit 3\n").unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    world.run(["config", "set", "agents.other.program", program.to_str().unwrap()]);
    world.limit = std::time::Duration::from_secs(120);
    let repository = world.repository("demo");
    let output = world.try_in(repository.path(), ["start", ".", "say hello", "--agent", "other", "--wait", "--json"]);
    let (run, code) = ended(&output);
    assert_eq!((run["agent"].as_str(), code), (Some("other"), 1), "{run}");
    let (run, _) = ended(&world.attempt(["continue", "local/demo#1", "again", "--wait", "--json"]));
    assert_eq!(run["agent"], "other", "{run}");
    world.attempt(["queue", "retry", "local/demo#1", "--wait"]);
    let message = script(&["say hello"]);
    let output = world.attempt(["continue", "local/demo#1", &message, "--agent", "scripted", "--wait", "--json"]);
    let (run, code) = ended(&output);
    assert_eq!((run["agent"].as_str(), code), (Some("scripted"), 0), "{run}");
}
