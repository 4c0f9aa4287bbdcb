//! Commands that wait for runs, users who attach to sessions, and the idle daemon.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Stdio};
use std::time::Duration;

use kugetsu_testkit::{eventually, scripted_agent};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::world::{World, script, shown};

/// `start --wait` in the background, with a running agent.
fn waiting(world: &World) -> Child {
    let repository = world.repository("demo");
    let message = script(&["say ready", "wait go"]);
    let mut command = world.command(repository.path(), ["start", ".", &message, "--wait", "--json"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let is_listed = || world.json(["list", "--json"]).as_array().is_some_and(|all| !all.is_empty());
    eventually("the agent to start", || is_listed() && world.agent_text("local/demo#1").contains("ready"));
    child
}

#[test]
fn wait_for_a_canceled_run_exits_with_130() {
    let world = World::new();
    let child = waiting(&world);
    world.run(["queue", "cancel", "local/demo#1"]);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", shown(&output));
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(object["state"], "canceled", "{object}");
}

#[test]
fn interrupted_wait_exits_with_130_and_the_run_continues() {
    let world = World::new();
    let child = waiting(&world);
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", shown(&output));
    assert_eq!(world.latest("local/demo#1")["state"], "running");
    world.release_agents();
    world.await_state("local/demo#1", "done");
}

#[test]
fn attach_opens_the_session_in_the_agents_interface() {
    let world = World::new();
    let program = world.home.folder("bin").join("with-interface");
    let text = format!(
        "#!/bin/sh\nif [ \"$1\" = screen ]; then echo \"screen of $2 in $PWD\"; cat; else exec '{}' \"$@\"; fi\n",
        scripted_agent().display()
    );
    std::fs::write(&program, text).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    world.run(["config", "set", "agents.scripted.program", program.to_str().unwrap()]);
    world.run(["config", "set", "agents.scripted.attach", "[\"screen\", \"{session}\"]"]);
    let repository = world.repository("demo");
    let (run, _) = world.start(&repository, &script(&["say hello", "error no more"]));
    let (session, worktree) = (run["session_id"].as_str().unwrap(), run["worktree"].as_str().unwrap());
    let mut attach = world.command(repository.path(), ["attach", "local/demo#1"]);
    let mut screen = attach.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(screen.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line.trim(), format!("screen of {session} in {worktree}"));

    for args in
        [vec!["continue", ".", "more"], vec!["push", "."], vec!["destroy", ".", "--discard"], vec!["attach", "."]]
    {
        let refused = world.try_in(repository.path(), &args);
        assert_eq!(refused.status.code(), Some(1), "a session has one user at a time: {}", shown(&refused));
        assert!(
            String::from_utf8_lossy(&refused.stderr).contains(args[0]),
            "names what was typed: {}",
            shown(&refused)
        );
    }
    world.run(["queue", "retry", "local/demo#1"]);
    let run = world.await_state("local/demo#1", "blocked");
    assert!(run["reason"].as_str().unwrap().contains("kugetsu attach"), "{run}");
    assert!(run["hint"].as_str().unwrap().contains("`kugetsu queue retry local/demo#1`"), "{run}");
    drop(screen.stdin.take());
    assert!(screen.wait().unwrap().success());
    world.run_in(repository.path(), ["continue", ".", &script(&["say again"]), "--wait"]);
    world.run_in(repository.path(), ["destroy", ".", "--discard"]);
}

#[test]
fn slow_push_can_be_canceled() {
    let world = World::new();
    let repository = world.repository("demo");
    let (started, go) = (world.home.path().join("push-started"), world.home.path().join("push-go"));
    let hook =
        format!("#!/bin/sh\ntouch {}\nwhile [ ! -e {} ]; do sleep 0.02; done\n", started.display(), go.display());
    repository.hook("pre-receive", &hook);
    let reference = world.queue(&repository, &script(&["write a.txt a", "commit one"]));
    eventually("the push to start", || started.exists());
    world.run(["queue", "cancel", &reference]);
    let run = world.await_state(&reference, "canceled");
    assert_eq!((&run["commits"], &run["pushed"]), (&1.into(), &false.into()), "{run}");
    assert_eq!(world.json(["rescue", "list", &reference, "--json"]).as_array().unwrap().len(), 1);
    eventually("the push to end", || world.processes("pre-receive").is_empty());
}

#[cfg(target_os = "linux")]
#[test]
fn idle_daemon_never_wakes() {
    const WINDOW: Duration = Duration::from_secs(3);
    let world = World::new();
    let repository = world.repository("demo");
    world.start(&repository, &script(&["say hello"]));
    let daemon = world.daemon();
    let wake_ups = || -> u64 {
        let threads = std::fs::read_dir(format!("/proc/{daemon}/task")).unwrap();
        let count = |thread: std::io::Result<std::fs::DirEntry>| {
            let status = std::fs::read_to_string(thread.ok()?.path().join("status")).ok()?;
            let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
            line.trim().parse::<u64>().ok()
        };
        threads.filter_map(count).sum()
    };
    // A poll would show in every window; work that the last run left ends.
    eventually("a window without wake-ups", || {
        let before = wake_ups();
        std::thread::sleep(WINDOW);
        let times = wake_ups().abs_diff(before);
        if times == 0 { Ok(()) } else { Err(times) }
    });
}
