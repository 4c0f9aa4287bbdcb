//! `kugetsu push`: the end of a run without its agent.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use kugetsu_testkit::Repository;
use serde_json::Value;

use crate::world::{World, ended, script};

fn push(world: &World) -> (Value, i32) {
    ended(&world.attempt(["push", "local/demo#1", "--wait", "--json"]))
}

/// Refuses every push to the repository until the hook is removed.
fn refuse_pushes(repository: &Repository) -> std::path::PathBuf {
    let hook = repository.path().join(".git/hooks/pre-receive");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    std::fs::write(&hook, "#!/bin/sh\necho not now >&2\nexit 1\n").unwrap();
    std::fs::set_permissions(&hook, PermissionsExt::from_mode(0o755)).unwrap();
    hook
}

fn turns(world: &World) -> usize {
    world.records("local/demo#1", "prompt").len()
}

fn git(world: &World, directory: &Path, args: &[&str]) {
    let mut command = world.home.command("git");
    let output = world.home.run(command.args(args).current_dir(directory));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn refused_push_is_repeated_without_the_agent() {
    let world = World::new();
    let repository = world.repository("demo");
    let hook = refuse_pushes(&repository);
    let (run, code) = world.start(&repository, &script(&["write a.txt a", "commit a"]));
    assert_eq!((run["state"].as_str(), code), (Some("blocked"), 3), "{run}");
    let next = world.run(["why", "local/demo#1"]);
    assert!(next.contains("`kugetsu push local/demo#1`"), "{next}");
    assert_eq!(turns(&world), 1);

    let (run, code) = push(&world);
    assert_eq!((run["state"].as_str(), code), (Some("blocked"), 3), "{run}");
    std::fs::remove_file(hook).unwrap();
    let (run, code) = push(&world);
    assert_eq!((run["state"].as_str(), code), (Some("done"), 0), "{run}");
    assert_eq!((&run["commits"], &run["pushed"]), (&1.into(), &true.into()), "{run}");
    let branch = run["branch"].as_str().unwrap();
    assert_eq!(repository.show_text(branch, "a.txt"), "a\n");
    assert_eq!(turns(&world), 1, "the agent ran again");

    // Rows of the kind are read again, and the session continues.
    world.kill_daemon();
    let task = world.json(["queue", "show", "local/demo#1", "--json"]);
    assert_eq!((task["kind"].as_str(), task["state"].as_str()), (Some("push"), Some("done")), "{task}");
    let message = script(&["write b.txt b", "commit b"]);
    let (run, code) = ended(&world.attempt(["continue", "local/demo#1", &message, "--wait", "--json"]));
    assert_eq!((&run["commits"], code), (&2.into(), 0), "{run}");
    let sessions = world.records("local/demo#1", "session");
    assert_eq!(sessions[1]["resumed"], true, "{sessions:?}");
}

#[test]
fn merged_work_is_done_only_if_the_server_can_be_reached() {
    let world = World::new();
    let repository = world.repository("demo");
    let (run, code) = world.start(&repository, &script(&["write a.txt a", "commit a"]));
    assert_eq!(code, 0, "{run}");
    let branch = run["branch"].as_str().unwrap();
    git(&world, repository.path(), &["merge", "--quiet", "--ff-only", branch]);
    git(&world, repository.path(), &["branch", "--quiet", "-d", branch]);
    let (run, code) = push(&world);
    assert_eq!((run["reason"].as_str(), code), (Some("no new commits"), 0), "{run}");
    // The merge is undone while the repository cannot be reached, so nothing is known.
    git(&world, repository.path(), &["reset", "--quiet", "--hard", "HEAD~1"]);
    let away = repository.path().with_extension("away");
    std::fs::rename(repository.path(), &away).unwrap();
    let (run, code) = push(&world);
    assert_eq!((run["state"].as_str(), code), (Some("failed"), 1), "{run}");
    let continued = world.attempt(["continue", "local/demo#1", &script(&["say ok"]), "--wait", "--json"]);
    let (run, code) = ended(&continued);
    assert_eq!((run["state"].as_str(), code), (Some("blocked"), 3), "{run}");
    std::fs::rename(&away, repository.path()).unwrap();
    let (run, code) = push(&world);
    assert_eq!((&run["pushed"], code), (&true.into(), 0), "{run}");
    assert_eq!(repository.show_text(branch, "a.txt"), "a\n");
}

#[test]
fn cleaned_history_does_not_hide_what_was_pushed() {
    let world = World::new();
    let repository = world.repository("demo");
    let (run, code) = world.start(&repository, &script(&["write a.txt a", "commit a"]));
    assert_eq!(code, 0, "{run}");
    world.run(["continue", "local/demo#1", &script(&["say ready", "hang"])]);
    world.await_state("local/demo#1", "running");
    world.run(["queue", "cancel", "local/demo#1"]);
    world.await_state("local/demo#1", "canceled");
    world.run(["queue", "clean", "--older-than", "0s"]);
    assert_eq!(world.json(["queue", "list", "--all", "--json"]).as_array().unwrap().len(), 1);
    let amend = script(&["write b.txt b", "run git add -A && git commit --quiet --amend --no-edit"]);
    let (run, code) = ended(&world.attempt(["continue", "local/demo#1", &amend, "--wait", "--json"]));
    assert_eq!((run["state"].as_str(), &run["commits"], code), (Some("done"), &1.into(), 0), "{run}");
    assert_eq!(repository.show_text(run["branch"].as_str().unwrap(), "b.txt"), "b\n");
}

#[test]
fn retry_of_a_blocked_push_names_push() {
    let world = World::new();
    let repository = world.repository("demo");
    refuse_pushes(&repository);
    world.start(&repository, &script(&["write a.txt a", "commit a"]));
    let output = world.attempt(["queue", "retry", "local/demo#1"]);
    let warning = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(warning.contains("runs the agent again") && warning.contains("`kugetsu push local/demo#1`"), "{warning}");
}

#[test]
fn commits_of_a_person_are_pushed_and_secrets_are_not() {
    let world = World::new();
    world.run(["env", "set", "DEPLOY_TOKEN", "hunter2-hunter2"]);
    let repository = world.repository("demo");
    let (run, code) = world.start(&repository, &script(&["write a.txt a", "commit a"]));
    assert_eq!(code, 0, "{run}");
    let worktree = world.worktree("local/demo#1");
    std::fs::write(worktree.join("mine.txt"), "mine\n").unwrap();
    let (run, code) = push(&world);
    assert_eq!((run["state"].as_str(), code), (Some("blocked"), 3), "{run}");
    assert!(run["reason"].as_str().unwrap().contains("mine.txt"), "{run}");

    git(&world, &worktree, &["add", "mine.txt"]);
    git(&world, &worktree, &["commit", "--quiet", "--message", "mine"]);
    let (run, code) = push(&world);
    assert_eq!((run["state"].as_str(), &run["commits"], code), (Some("done"), &2.into(), 0), "{run}");
    let branch = run["branch"].as_str().unwrap();
    assert_eq!(repository.show_text(branch, "mine.txt"), "mine\n");

    std::fs::write(worktree.join("mine.txt"), "token hunter2-hunter2\n").unwrap();
    git(&world, &worktree, &["commit", "--quiet", "--all", "--message", "leak"]);
    let (run, code) = push(&world);
    assert_eq!((run["state"].as_str(), code), (Some("blocked"), 3), "{run}");
    assert!(run["reason"].as_str().unwrap().contains("DEPLOY_TOKEN"), "{run}");
    assert_eq!(repository.show_text(branch, "mine.txt"), "mine\n");
}

#[test]
fn setting_to_commit_the_rest_counts_for_a_push() {
    let world = World::new();
    let repository = world.repository("demo");
    let (run, code) = world.start(&repository, &script(&["write a.txt a"]));
    assert_eq!((run["state"].as_str(), code), (Some("blocked"), 3), "{run}");
    world.run(["config", "set", "run.uncommitted", "commit"]);
    let (run, code) = push(&world);
    assert_eq!((run["state"].as_str(), &run["commits"], code), (Some("done"), &1.into(), 0), "{run}");
    assert_eq!(repository.show_text(run["branch"].as_str().unwrap(), "a.txt"), "a\n");
}

#[test]
fn push_without_work_is_not_done() {
    let world = World::new();
    let repository = world.repository("demo");
    let (run, code) = world.start(&repository, &script(&["error no credit left"]));
    assert_eq!(code, 1, "{run}");
    let (run, code) = push(&world);
    assert_eq!((run["state"].as_str(), code), (Some("failed"), 1), "{run}");
    assert!(run["reason"].as_str().unwrap().contains("nothing to push"), "{run}");

    // Nor is one whose worktree is gone: the work may have been in it.
    std::fs::remove_dir_all(world.worktree("local/demo#1")).unwrap();
    let (run, code) = push(&world);
    assert_eq!((run["state"].as_str(), code), (Some("failed"), 1), "{run}");
    assert!(run["reason"].as_str().unwrap().contains("is missing"), "{run}");

    world.run(["destroy", "local/demo#1", "-y"]);
    let output = world.attempt(["push", "local/demo#1"]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && error.contains("nothing to push"), "{error}");
}
