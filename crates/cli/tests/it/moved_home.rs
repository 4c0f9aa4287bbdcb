//! Homes that were moved, copied or linked.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use kugetsu_testkit::eventually;

use crate::world::{World, ended, is_alive, script, shown};

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
    let lost = |world: &World| world.records(&reference, "session_lost").len();
    let prompt =
        |world: &World| world.records(&reference, "prompt").pop().unwrap()["text"].as_str().unwrap().to_owned();
    // The agent keeps sessions by directory. The new one gets the earlier messages, and the transcript shows it.
    assert_eq!(lost(&world), 1);
    assert!(
        prompt(&world).contains("What happened before") && prompt(&world).contains("write one.txt"),
        "{}",
        prompt(&world)
    );
    let worktree = world.worktree(&reference);
    assert!(worktree.starts_with(&new), "{}", worktree.display());
    assert_eq!(fs::read_to_string(worktree.join("rest.txt")).unwrap(), "x\n", "the same worktree");
    let branch = world.latest(&reference)["branch"].as_str().unwrap().to_owned();
    // The agent keeps sessions by directory, so it gets the earlier task again in a new one; its commit has the file.
    assert_eq!(repository.show_text(&branch, "one.txt") + &repository.show_text(&branch, "rest.txt"), "1\nx\n");
    assert!(!old.exists(), "nothing is created at the old path");
    world.run(["continue", &reference, &script(&["say three"]), "--wait"]);
    assert_eq!(lost(&world), 1, "the next run resumes the new session");
    assert!(!prompt(&world).contains("What happened before"), "{}", prompt(&world));
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
fn home_that_was_moved_during_a_run_does_not_appear_at_its_old_path() {
    let mut world = World::new();
    let repository = world.repository("demo");
    let reference = world.queue(&repository, &script(&["write half.txt half", "say ready", "wait go", "say more"]));
    eventually("the agent to start", || world.agent_text(&reference).contains("ready").then_some(()));
    let old = world.home.kugetsu();
    let new = use_home(&mut world, "moved");
    fs::rename(&old, &new).unwrap();
    world.release_agents();
    eventually("the agent to end", || world.processes("scripted-agent").is_empty().then_some(()));
    eventually("the runner to end", || world.processes("kugetsu runner").is_empty().then_some(()));
    assert!(
        !old.exists(),
        "{:?}",
        fs::read_dir(&old).map(|entries| entries.flatten().map(|one| one.path()).collect::<Vec<_>>())
    );
    stop(&world);
    assert!(!old.exists());
    assert!(new.join("worktrees/local-demo-1/half.txt").exists());
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
    let copied = use_home(&mut world, "copy");
    copy(&original, &copied);
    world.run(["daemon", "start"]);
    let run = world.await_state(&reference, "canceled");
    assert_eq!(run["attempt"].as_u64().unwrap_or(1), 1, "{run}");
    let reason = run["reason"].as_str().unwrap();
    assert!(reason.contains("this home is a copy") && !reason.contains("by the user"), "{reason}");
    let doctor = world.attempt(["doctor", "--offline", "--fix"]);
    assert!(!String::from_utf8_lossy(&doctor.stdout).contains("leftover processes killed"), "{}", shown(&doctor));
    assert_eq!(world.processes("scripted-agent"), agents, "no agent ended, and none was started");
    assert!(agents.iter().all(|agent| is_alive(*agent)));
    assert!(fs::read_to_string(copied.join("home.location")).unwrap().contains("/copy\""));
    stop(&world);

    world.home.set("KUGETSU_HOME", &original);
    world.release_agents();
    let run = world.await_state(&reference, "done");
    assert_eq!(repository.show_text(run["branch"].as_str().unwrap(), "half.txt"), "half\n");
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status().unwrap();
    assert!(copied.success());
}

#[test]
fn copy_of_a_home_keeps_off_the_sessions_of_the_original() {
    let mut world = World::new();
    let repository = world.repository("demo");
    let (run, _) = world.start(&repository, &script(&["write one.txt 1", "commit one"]));
    let reference = run["issue"].as_str().unwrap().to_owned();
    let session = run["session_id"].as_str().unwrap().to_owned();
    let other = world.start(&repository, &script(&["say hello"])).0;
    let (other, others) = (other["issue"].as_str().unwrap(), other["session_id"].as_str().unwrap());
    stop(&world);
    let original = world.home.kugetsu();
    let copied = use_home(&mut world, "copy");
    copy(&original, &copied);
    let sessions = |world: &World| {
        let output = world.home.run(world.home.command(kugetsu_testkit::scripted_agent()).args(["session", "list"]));
        String::from_utf8(output.stdout).unwrap()
    };

    let output = world.attempt(["destroy", other, "--yes"]);
    assert!(output.status.success(), "{}", shown(&output));
    let text = shown(&output);
    assert!(
        text.contains(&format!("{others} was not deleted: it belongs to the home of which this one is a copy")),
        "{text}"
    );
    let refused = world.attempt(["attach", &reference]);
    assert!(shown(&refused).contains("belongs to the home of which this one is a copy"), "{}", shown(&refused));
    let (run, _) = ended(&world.attempt(["continue", &reference, &script(&["say copy"]), "--wait", "--json"]));
    let own = run["session_id"].as_str().unwrap().to_owned();
    assert_ne!(own, session, "the copy does not continue the conversation of the original");
    assert!(world.records(&reference, "session_lost").is_empty(), "the agent got its ID");
    // Also after another daemon, which finds the copy where it was.
    stop(&world);
    world.run(["destroy", &reference, "--yes"]);
    let left = sessions(&world);
    assert!(left.contains(&session) && left.contains(others) && !left.contains(&own), "{left}");

    stop(&world);
    world.home.set("KUGETSU_HOME", &original);
    let (run, _) = ended(&world.attempt(["continue", &reference, &script(&["say original"]), "--wait", "--json"]));
    assert_eq!(run["session_id"], session.as_str());
    world.run(["destroy", &reference, "--yes"]);
    assert!(!sessions(&world).contains(&session));
}

#[test]
fn home_whose_location_cannot_be_read_keeps_off_its_sessions() {
    let mut world = World::new();
    let repository = world.repository("demo");
    let (run, _) = world.start(&repository, &script(&["say hello"]));
    let (reference, session) = (run["issue"].as_str().unwrap().to_owned(), run["session_id"].as_str().unwrap());
    stop(&world);
    let original = world.home.kugetsu();
    let copied = use_home(&mut world, "copy");
    copy(&original, &copied);
    let location = copied.join("home.location");
    fs::remove_file(&location).unwrap();
    fs::create_dir(&location).unwrap();
    let refused = world.attempt(["continue", &reference, "again"]);
    let text = shown(&refused);
    assert_eq!(refused.status.code(), Some(1), "{text}");
    assert!(text.contains("could not read") && text.contains("hint: make "), "{text}");
    let doctor = world.attempt(["doctor", "--offline"]);
    assert!(shown(&doctor).contains("so it may be a copy"), "{}", shown(&doctor));

    // As a power loss leaves it.
    fs::remove_dir(&location).unwrap();
    fs::write(&location, "").unwrap();
    let destroyed = world.attempt(["destroy", &reference, "--yes"]);
    assert!(destroyed.status.success(), "{}", shown(&destroyed));
    assert!(shown(&destroyed).contains(&format!("{session} was not deleted")), "{}", shown(&destroyed));
    let listed = world.home.run(world.home.command(kugetsu_testkit::scripted_agent()).args(["session", "list"]));
    assert!(String::from_utf8(listed.stdout).unwrap().contains(session));
}

#[test]
fn home_moved_to_another_directory_under_an_agent_has_one_agent() {
    let mut world = World::new();
    let repository = world.repository("demo");
    let steps = ["write half.txt half", "say ready", "wait go", "commit all"];
    let reference = world.queue(&repository, &script(&steps));
    eventually("the agent to start", || world.agent_text(&reference).contains("ready").then_some(()));
    let earlier = world.processes("scripted-agent");
    let runners = [world.processes(" runner "), world.processes("daemon run")].concat();
    assert!(!earlier.is_empty() && !runners.is_empty());
    let original = world.home.kugetsu();
    let moved = use_home(&mut world, "moved");
    // As `mv` does between file systems.
    copy(&original, &moved);
    // The earlier daemon may write meanwhile.
    eventually("the earlier directory to be removed", || match fs::remove_dir_all(&original) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.to_string()),
        _ => Ok(()),
    });

    world.run(["daemon", "start"]);
    eventually("the earlier agent, runner and daemon to end", || {
        let left: Vec<_> = earlier.iter().chain(&runners).filter(|process| is_alive(**process)).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    });
    world.release_agents();
    let run = world.await_state(&reference, "done");
    assert_eq!(repository.show_text(run["branch"].as_str().unwrap(), "half.txt"), "half\n");
    assert!(!original.exists(), "nothing is created at the old path");
    stop(&world);
    eventually("no process to be left", || {
        let left = world.home.processes();
        if left.is_empty() { Ok(()) } else { Err(left) }
    });
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
