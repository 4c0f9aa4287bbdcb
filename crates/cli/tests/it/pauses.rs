//! A task whose model is not available waits without a slot and without processes, and continues in its session.

use std::fs;
use std::process::Stdio;

use kugetsu_testkit::{eventually, eventually_within};
use serde_json::Value;

use crate::world::{World, ended, script, shown, tamper};

const LIMIT: &str = "error-once You've hit your usage limit. Upgrade to Pro or try again in 3 days 4 hours.";

fn paused_script() -> String {
    script(&["write a.txt a", LIMIT, "commit one"])
}

/// Waits until the issue's task is paused. Returns its run object.
#[track_caller]
fn await_pause(world: &World, reference: &str) -> Value {
    eventually_within(world.limit, &format!("{reference} to be paused"), || {
        let run = world.latest(reference);
        if run["not_before"].is_string() { Ok(run) } else { Err(run) }
    })
}

/// Whether the latest run resumed the session that the first one opened.
#[track_caller]
fn assert_same_session(world: &World, reference: &str) {
    let sessions = world.records(reference, "session");
    assert!(sessions.len() > 1, "{sessions:?}");
    let (first, last) = (&sessions[0], &sessions[sessions.len() - 1]);
    assert_eq!((&last["session"], &last["resumed"]), (&first["session"], &true.into()), "{sessions:?}");
}

#[test]
fn paused_task_is_shown_and_continues_after_a_restart() {
    let world = World::new();
    world.run(["config", "set", "agents.max", "1"]);
    let repository = world.repository("demo");
    let issue = world.queue(&repository, &paused_script());
    let run = await_pause(&world, &issue);
    assert_eq!((&run["state"], &run["ended_at"]), (&"queued".into(), &Value::Null), "{run}");
    assert!(run["reason"].as_str().unwrap().contains("You've hit your usage limit"), "{run}");
    assert!(run["hint"].as_str().unwrap().contains("kugetsu queue retry local/demo#1"), "{run}");
    let until: jiff::Timestamp = run["not_before"].as_str().unwrap().parse().unwrap();
    let hours = until.duration_since(jiff::Timestamp::now()).as_hours();
    assert!((75..=76).contains(&hours), "{run}");
    assert_eq!(world.processes("kugetsu-scripted-agent"), Vec::<i32>::new());
    let year = until.to_string()[..4].to_owned();
    for command in [["list"].as_slice(), &["status"], &["queue", "list"], &["queue", "show", &issue], &["why", &issue]]
    {
        let text = world.run(command);
        assert!(text.contains(&format!("waits until {year}-")), "{command:?}: {text}");
    }
    let why = world.run(["why", &issue]);
    assert!(why.contains("kugetsu queue retry") && why.contains("kugetsu queue cancel"), "{why}");
    let logs = world.run(["logs", &issue]);
    assert!(logs.contains(&format!("paused until {year}-")), "{logs}");

    // Others of the account wait as well.
    let queued = world.try_in(repository.path(), ["start", ".", &script(&["write b.txt b", "commit b"])]);
    let limited = "is limited by its provider since ";
    assert!(queued.status.success() && shown(&queued).contains(limited), "{}", shown(&queued));
    let other = "local/demo#2";
    for command in [["status"].as_slice(), &["queue", "list"], &["doctor"], &["why", other]] {
        let text = shown(&world.attempt(command));
        assert!(text.contains(limited) && text.contains(&format!(", until {year}-")), "{command:?}: {text}");
        assert!(text.contains("kugetsu resume --agent "), "{command:?}: {text}");
    }

    world.run(["daemon", "stop"]);
    let database = world.home.kugetsu().join("state/kugetsu.db");
    tamper(
        &database,
        "UPDATE tasks SET not_before = (CAST(strftime('%s', 'now') AS INTEGER) + 3) * 1000 WHERE not_before IS NOT NULL",
    );
    tamper(
        &database,
        "UPDATE runs SET limited_until = (CAST(strftime('%s', 'now') AS INTEGER) + 3) * 1000 WHERE limited_until IS NOT NULL",
    );
    world.await_state(other, "done");
    let run = world.await_state(&issue, "done");
    assert_eq!((&run["pushed"], &run["not_before"]), (&true.into(), &Value::Null), "{run}");
    assert_same_session(&world, &issue);
}

#[test]
fn waiting_command_says_that_the_task_is_paused_and_waits_on() {
    let world = World::new();
    let repository = world.repository("demo");
    let mut command = world.command(repository.path(), ["start", ".", &paused_script(), "--wait", "--json"]);
    let waiting = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let issue = "local/demo#1";
    eventually("the task", || if world.latest(issue).is_null() { Err(()) } else { Ok(()) });
    await_pause(&world, issue);
    let text = world.run(["queue", "retry", issue]);
    assert!(!text.contains("waits until"), "{text}");
    let output = waiting.wait_with_output().unwrap();
    let (run, code) = ended(&output);
    assert_eq!((run["state"].as_str(), code), (Some("done"), 0), "{run}");
    let progress = String::from_utf8_lossy(&output.stderr);
    assert_eq!(progress.matches("! waiting until ").count(), 1, "{progress}");
    assert_same_session(&world, issue);
    let refused = shown(&world.attempt(["queue", "retry", issue]));
    assert!(refused.contains("it is done"), "{refused}");
}

#[test]
fn paused_task_can_be_canceled_and_is_not_continued() {
    let world = World::new();
    let repository = world.repository("demo");
    let issue = world.queue(&repository, &paused_script());
    await_pause(&world, &issue);
    let behind = world.run(["continue", &issue, &script(&["write c.txt c", "commit all"])]);
    assert!(behind.contains("queued"), "{behind}");
    let why = world.run(["why", &issue]);
    assert!(why.contains("the first of them waits until"), "{why}");
    let tasks = world.json(["queue", "list", "--json"]);
    let paused = tasks.as_array().unwrap().iter().find(|task| task["not_before"].is_string()).unwrap();
    world.run(["queue", "cancel", paused["task"].as_str().unwrap()]);
    let text = world.run(["resume", "--agent", world.latest(&issue)["agent"].as_str().unwrap()]);
    assert!(text.contains(": one task tries it (1 queued)"), "{text}");
    // The message behind it begins.
    let run = world.await_state(&issue, "done");
    assert_eq!((&run["pushed"], &run["commits"]), (&true.into(), &1.into()), "{run}");
}

#[test]
fn pause_survives_a_rebuild_of_the_database() {
    let world = World::new();
    let repository = world.repository("demo");
    let issue = world.queue(&repository, &paused_script());
    let before = await_pause(&world, &issue);
    world.run(["daemon", "stop"]);
    for name in ["kugetsu.db", "kugetsu.db-wal", "kugetsu.db-shm"] {
        let _missing = fs::remove_file(world.home.kugetsu().join("state").join(name));
    }
    world.run(["db", "rebuild"]);
    let rebuilt = world.latest(&issue);
    for field in ["state", "not_before", "reason", "hint", "session_id", "task"] {
        assert_eq!(rebuilt[field], before[field], "{field}: {rebuilt}");
    }
    world.run(["queue", "retry", &issue]);
    world.await_state(&issue, "done");
    assert_same_session(&world, &issue);
}

#[test]
fn limit_without_a_time_pauses_after_the_retries() {
    let world = World::new();
    world.run(["config", "set", "run.model_retries", "1"]);
    let repository = world.repository("demo");
    let issue = world.queue(&repository, &script(&["error status 429 Too Many Requests"]));
    let run = await_pause(&world, &issue);
    let until: jiff::Timestamp = run["not_before"].as_str().unwrap().parse().unwrap();
    let seconds = until.duration_since(jiff::Timestamp::now()).as_secs();
    assert!((1..=60).contains(&seconds), "{run}");
    let notices = world.records(&issue, "notice");
    assert!(notices.iter().any(|notice| notice["text"].as_str().unwrap().contains("retry 1 of 1")), "{notices:?}");
}

#[test]
fn agent_that_waits_in_silence_for_a_limit_it_printed_is_paused() {
    let world = World::new();
    let repository = world.repository("demo");
    world.run(["config", "set", "run.silence", "2s"]);
    let steps = ["write a.txt a", "stderr Attempt 1 failed with status 429. Please retry in 7200s.", "freeze"];
    let issue = world.queue(&repository, &script(&steps));
    let run = await_pause(&world, &issue);
    let until: jiff::Timestamp = run["not_before"].as_str().unwrap().parse().unwrap();
    let minutes = until.duration_since(jiff::Timestamp::now()).as_mins();
    assert!((110..=120).contains(&minutes), "{run}");
    assert!(run["reason"].as_str().unwrap().contains("status 429"), "{run}");
    assert!(world.worktree(&issue).join("a.txt").exists());
}
