//! Runs that use too much of the machine end with that reason, and keep their work. Each attempt succeeds without the limit.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use kugetsu_testkit::eventually;
use serde_json::{Value, json};

use crate::world::{World, coordinator_message, ended, script, shown};

/// Holds 250 MiB until there is a file `go`, or for two minutes. In a run that is not ended, the command succeeds.
const ALLOCATE: &str = "{ head -c 262144000 /dev/zero; echo; for i in $(seq 1200); do test -e go && break; sleep 0.1; done; } | tail -n 1 >/dev/null";
/// Starts 500 processes, which exist together until there is a file `go`. More than the agent has threads anywhere.
pub(crate) const MULTIPLY: &str = "i=0; p=; while [ $i -lt 500 ]; do sleep 900 & p=\"$p $!\"; i=$((i+1)); done; \
                                   for i in $(seq 1200); do test -e go && break; sleep 0.1; done; kill $p";
/// Writes 60 MiB, in a file that does not stay.
const FILL: &str =
    "head -c 62914560 /dev/zero >big; for i in $(seq 1200); do test -e go && break; sleep 0.1; done; rm big";

/// Checks that a run ended because of a setting, and can be continued with a larger value.
fn assert_ended(world: &World, run: &Value, code: i32, setting: &str, larger: &str) {
    assert_eq!((run["state"].as_str(), code), (Some("failed"), 1), "{run}");
    let (reason, hint) = (run["reason"].as_str().unwrap(), run["hint"].as_str().unwrap());
    assert!(reason.contains(setting) && reason.contains("the work is kept"), "{run}");
    assert!(hint.contains(&format!("`kugetsu config set {setting} {larger}`")), "{run}");
    let issue = run["issue"].as_str().unwrap();
    assert!(hint.contains(&format!("`kugetsu continue {issue} \"<message>\"`")), "{run}");
    let why = world.run(["why", issue]);
    assert!(why.contains(setting) && why.contains(larger), "{why}");
    assert!(world.run(["logs", issue]).contains(setting));
    assert_eq!(world.records(issue, "prompt").len(), 1, "it is not tried again");
    assert_eq!(world.processes("kugetsu-scripted-agent"), Vec::<i32>::new());
    let worktree = world.worktree(issue);
    assert_eq!(fs::read_to_string(worktree.join("half.txt")).unwrap(), "half\n");
}

/// Attempts the command with the limit, and without.
fn attempt(setting: &str, limit: &str, larger: &str, command: &str) -> World {
    let world = World::new();
    let repository = world.repository("demo");
    let command = format!("run {command}");
    // Where the kernel holds the limit, the command fails at once.
    let steps = ["write a.txt a", "commit one", "write half.txt half", &command, "slow 5000", "commit two"];
    world.run(["config", "set", setting, limit]);
    let (run, code) = world.start(&repository, &script(&steps));
    let issue = run["issue"].as_str().unwrap();
    let notices = world.records(issue, "notice");
    let killed =
        notices.iter().filter_map(|notice| notice["text"].as_str()).find(|text| text.contains("the kernel killed"));
    match killed {
        // The agent continues without the program that was killed.
        Some(killed) => assert!(killed.contains(setting) && run["commits"] == 2, "{killed}: {run}"),
        None => {
            assert_ended(&world, &run, code, setting, larger);
            assert_eq!(run["commits"], 1, "{run}");
        }
    }

    world.run(["config", "set", setting, "0"]);
    repository.commit_files("go", &[("go", "")]);
    let (run, code) = world.start(&repository, &script(&steps));
    assert_eq!((run["state"].as_str(), code), (Some("done"), 0), "{run}");
    world
}

#[test]
fn run_that_uses_too_much_memory_is_ended() {
    let world = attempt("run.memory", "150", "300", ALLOCATE);
    if world.latest("local/demo#1")["state"] == "failed" {
        let rescues = world.json(["rescue", "list", "local/demo#1", "--json"]);
        assert_eq!(rescues.as_array().unwrap().len(), 1, "what is not committed is rescued: {rescues}");
    }
}

#[test]
fn agent_that_uses_too_much_memory_is_not_tried_again() {
    let world = World::new();
    let repository = world.repository("demo");
    let program = world.home.path().join("hog");
    fs::write(&program, format!("#!/bin/sh\n{ALLOCATE}\nexit $?\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    world.run(["config", "set", "agents.scripted.program", program.to_str().unwrap()]);
    world.run(["config", "set", "run.memory", "150"]);
    let (run, code) = world.start(&repository, "work");
    assert_eq!((run["state"].as_str(), code), (Some("failed"), 1), "{run}");
    assert!(run["reason"].as_str().unwrap().contains("run.memory"), "{run}");
    assert!(run["hint"].as_str().unwrap().contains("`kugetsu config set run.memory 300`"), "{run}");
    let tasks = world.json(["queue", "list", "--json"]);
    assert_eq!(tasks, json!([]), "it is not tried again");

    world.run(["config", "set", "run.memory", "0"]);
    repository.commit_files("go", &[("go", "")]);
    let (run, _) = world.start(&repository, "work");
    assert!(!run["reason"].as_str().unwrap().contains("run.memory"), "{run}");
}

#[test]
fn run_with_too_many_processes_is_ended() {
    attempt("run.processes", "400", "800", MULTIPLY);
}

#[test]
fn run_whose_files_grow_too_much_is_ended() {
    let world = attempt("run.worktree_growth", "30", "60", FILL);
    // A rescue would take the same space again.
    assert!(world.worktree("local/demo#1").join("big").exists());
    assert_eq!(world.json(["rescue", "list", "local/demo#1", "--json"]), json!([]));
}

#[test]
fn coordinator_that_uses_too_much_is_ended() {
    let world = World::new();
    let message = |command: &str| {
        let steps = [json!({"run": command}), json!({"slow": 5000}), json!({"say": "All is well."})];
        coordinator_message("work", &steps)
    };
    world.run(["config", "set", "run.processes", "400"]);
    let output = world.attempt(["delegate", &message(MULTIPLY), "--wait", "--json"]);
    let (delegated, code) = ended(&output);
    assert_eq!(code, 1, "{}", shown(&output));
    let task = &delegated["tasks"][0];
    assert!(task["reason"].as_str().unwrap().contains("run.processes"), "{delegated}");
    assert!(task["hint"].as_str().unwrap().contains("`kugetsu config set run.processes 800`"), "{delegated}");

    world.run(["config", "set", "run.processes", "0"]);
    let at_once = MULTIPLY.replace("test -e go", "true");
    let output = world.attempt(["delegate", &message(&at_once), "--wait", "--json"]);
    assert_eq!(ended(&output).1, 0, "{}", shown(&output));
}

#[test]
fn doctor_says_how_limits_hold() {
    let world = World::new();
    let checks: Value = serde_json::from_slice(&world.attempt(["doctor", "--offline", "--json"]).stdout).unwrap();
    let check = checks.as_array().unwrap().iter().find(|check| check["id"] == "kernel.limits").unwrap();
    let text = check.to_string();
    assert!(check["state"] == "ok" && text.contains("memory is") && text.contains("processes are"), "{check}");
    let is_measured = text.contains("measured");
    let repair = check["repair"].as_str().unwrap_or_default();
    assert_eq!(is_measured && cfg!(target_os = "linux"), repair.contains("Delegate=yes"), "{check}");
}

#[test]
fn limits_of_a_run_are_those_of_its_start() {
    let world = World::new();
    let repository = world.repository("demo");
    let issue = world.queue(&repository, &script(&["say ready", &format!("run {MULTIPLY}"), "run rm go"]));
    eventually("the agent to start", || world.agent_text(&issue).contains("ready").then_some(()));
    world.run(["config", "set", "run.processes", "1"]);
    fs::write(world.worktree(&issue).join("go"), "").unwrap();
    world.await_state(&issue, "done");
}
