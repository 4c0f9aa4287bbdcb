//! Who waits, and for what: commands that wait for a run, a person at the agent's own screen, and a daemon with no work.

use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Stdio};
use std::time::Duration;

use kugetsu_testkit::{eventually, scripted_agent};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::world::{World, script, shown};

/// `start --wait` in the background, with its agent at work.
fn waiting(world: &World) -> Child {
    let repository = world.repository("demo");
    let message = script(&["say ready", "wait go"]);
    let mut command = world.command(repository.path(), ["start", ".", &message, "--wait", "--json"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let there = || world.json(["list", "--json"]).as_array().is_some_and(|all| !all.is_empty());
    eventually("the agent to be at work", || there() && world.said("local/demo#1").contains("ready"));
    child
}

#[test]
fn waiting_for_a_run_that_is_canceled_ends_with_130() {
    let world = World::new();
    let child = waiting(&world);
    world.run(["queue", "cancel", "local/demo#1"]);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", shown(&output));
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(object["state"], "canceled", "{object}");
}

#[test]
fn whoever_has_enough_of_waiting_leaves_with_130_and_the_run_goes_on() {
    let world = World::new();
    let child = waiting(&world);
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", shown(&output));
    assert_eq!(world.latest("local/demo#1")["state"], "running");
    world.open_gate();
    world.await_state("local/demo#1", "done");
}

#[test]
fn attach_opens_the_agents_own_screen_on_the_session_in_its_worktree() {
    let world = World::new();
    let program = world.home.folder("bin").join("with-a-screen");
    let text = format!(
        "#!/bin/sh\nif [ \"$1\" = screen ]; then echo \"screen of $2 in $PWD\"; else exec {} \"$@\"; fi\n",
        scripted_agent().display()
    );
    std::fs::write(&program, text).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    world.run(["config", "set", "agents.scripted.program", program.to_str().unwrap()]);
    world.run(["config", "set", "agents.scripted.attach", "[\"screen\", \"{session}\"]"]);
    let repository = world.repository("demo");
    let (run, _) = world.start(&repository, &script(&["say hello"]));
    let (session, worktree) = (run["session_id"].as_str().unwrap(), run["worktree"].as_str().unwrap());
    assert_eq!(world.run(["attach", "local/demo#1"]).trim(), format!("screen of {session} in {worktree}"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_daemon_without_work_sleeps() {
    const WINDOW: Duration = Duration::from_secs(3);
    let world = World::new();
    let repository = world.repository("demo");
    world.start(&repository, &script(&["say hello"]));
    let daemon = world.daemon();
    let woken = || -> u64 {
        let threads = std::fs::read_dir(format!("/proc/{daemon}/task")).unwrap();
        let count = |thread: std::io::Result<std::fs::DirEntry>| {
            let status = std::fs::read_to_string(thread.ok()?.path().join("status")).ok()?;
            let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
            line.trim().parse::<u64>().ok()
        };
        threads.filter_map(count).sum()
    };
    // Whatever polled would show in every window; what the work before left to do comes to an end.
    eventually("a window in which no thread of the daemon woke", || {
        let before = woken();
        std::thread::sleep(WINDOW);
        let times = woken().abs_diff(before);
        if times == 0 { Ok(()) } else { Err(times) }
    });
}
