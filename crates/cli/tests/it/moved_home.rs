//! Homes that were moved, copied or linked.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use kugetsu_testkit::eventually;

use crate::world::{World, is_alive, script, shown};

/// Stops the daemon, which may take a moment to be gone.
fn stop(world: &World) {
    world.run(["daemon", "stop"]);
}

/// Makes `name` beside the home the new home, and returns its path.
fn use_home(world: &mut World, name: &str) -> PathBuf {
    let path = world.home.path().join(name);
    world.home.set("KUGETSU_HOME", &path);
    path
}

#[test]
fn issues_continue_after_their_home_was_moved() {
    let mut world = World::new();
    let repository = world.repository("demo");
    let (run, code) = world.start(&repository, &script(&["write one.txt 1", "commit one", "write rest.txt x"]));
    assert_eq!(code, 3, "a file is not committed: {run}");
    let reference = run["issue"].as_str().unwrap().to_owned();
    stop(&world);
    let old = world.home.kugetsu();
    let new = use_home(&mut world, "new home");
    fs::rename(&old, &new).unwrap();

    let doctor = world.attempt(["doctor", "--offline", "--json"]);
    let checks = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(checks.contains("moved or copied from"), "{checks}");
    world.run(["continue", &reference, &script(&["write two.txt 2", "commit two"]), "--wait"]);
    let worktree = world.worktree(&reference);
    assert!(worktree.starts_with(&new), "{}", worktree.display());
    assert_eq!(fs::read_to_string(worktree.join("rest.txt")).unwrap(), "x\n", "the same worktree");
    let branch = world.latest(&reference)["branch"].as_str().unwrap().to_owned();
    // The agent keeps sessions by directory, so it gets the earlier task again in a new one; its commit has the file.
    assert_eq!(repository.show_text(&branch, "one.txt") + &repository.show_text(&branch, "rest.txt"), "1\nx\n");
    assert!(!old.exists(), "nothing is created at the old path");
    let checks = world.json(["doctor", "--offline", "--json"]);
    let check = checks.as_array().unwrap().iter().find(|check| check["id"] == "home.moved").unwrap();
    assert_eq!(check["state"], "ok", "{checks}");
    world.run(["destroy", &reference, "--yes"]);
}

#[test]
fn home_that_was_moved_under_its_daemon_is_noticed() {
    let mut world = World::new();
    let repository = world.repository("demo");
    let (run, _) = world.start(&repository, &script(&["say hello"]));
    let reference = run["issue"].as_str().unwrap().to_owned();
    let old = world.home.kugetsu();
    let new = use_home(&mut world, "moved");
    fs::rename(&old, &new).unwrap();
    let refused = world.attempt(["continue", &reference, "again"]);
    assert_eq!(refused.status.code(), Some(1), "{}", shown(&refused));
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert!(stderr.contains("was moved from") && stderr.contains("kugetsu daemon stop"), "{stderr}");
    stop(&world);
    world.run(["continue", &reference, &script(&["say again"]), "--wait"]);
}

#[test]
fn copy_of_a_home_leaves_the_original_alone() {
    let mut world = World::new();
    let repository = world.repository("demo");
    let reference = world.queue(&repository, &script(&["write half.txt half", "say ready", "wait go", "commit all"]));
    eventually("the agent to start", || world.agent_text(&reference).contains("ready").then_some(()));
    let agents = world.processes("scripted-agent");
    assert!(!agents.is_empty());

    let original = world.home.kugetsu();
    let copy = use_home(&mut world, "copy");
    let copied = Command::new("cp").arg("-a").arg(&original).arg(&copy).status().unwrap();
    assert!(copied.success());
    world.run(["daemon", "start"]);
    let run = world.await_state(&reference, "canceled");
    assert_eq!(run["attempt"].as_u64().unwrap_or(1), 1, "{run}");
    let doctor = world.attempt(["doctor", "--offline", "--fix"]);
    assert!(!String::from_utf8_lossy(&doctor.stdout).contains("leftover processes killed"), "{}", shown(&doctor));
    assert_eq!(world.processes("scripted-agent"), agents, "no agent ended, and none was started");
    assert!(agents.iter().all(|agent| is_alive(*agent)));
    assert!(fs::read_to_string(copy.join("home.location")).unwrap().contains("/copy\""));
    stop(&world);

    world.home.set("KUGETSU_HOME", &original);
    world.release_agents();
    let run = world.await_state(&reference, "done");
    assert_eq!(repository.show_text(run["branch"].as_str().unwrap(), "half.txt"), "half\n");
}

#[test]
fn home_behind_a_link_is_one_home() {
    let mut world = World::new();
    let repository = world.repository("demo");
    let real = world.home.kugetsu();
    let link = use_home(&mut world, "link");
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let (run, code) = world.start(&repository, &script(&["say hello"]));
    assert_eq!(code, 0, "{run}");
    let reference = run["issue"].as_str().unwrap();
    world.run(["continue", reference, &script(&["say by the link"]), "--wait"]);
    let daemon = world.daemon();
    world.home.set("KUGETSU_HOME", &real);
    assert_eq!(world.daemon(), daemon);
    fs::remove_file(&link).unwrap();
    world.run(["continue", reference, &script(&["say without it"]), "--wait"]);
}
