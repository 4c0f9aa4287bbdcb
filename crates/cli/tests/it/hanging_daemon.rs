//! A daemon that hangs, is stopped, loses its socket, or is of another version.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use kugetsu_testkit::eventually;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::world::{World, is_alive, script, shown, tamper};

/// A daemon that is paused until this is dropped.
struct Paused(Pid);

impl Paused {
    fn new(world: &World) -> Self {
        let pid = Pid::from_raw(world.daemon());
        kill(pid, Signal::SIGSTOP).unwrap();
        Self(pid)
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGCONT);
    }
}

#[test]
fn every_command_fails_in_time_while_the_daemon_hangs() {
    let world = World::new();
    let repository = world.repository("demo");
    world.start(&repository, &script(&["say hello"]));
    let paused = Paused::new(&world);
    let commands: &[&[&str]] = &[
        &["status"],
        &["list"],
        &["start", ".", "more"],
        &["continue", ".", "more", "--wait"],
        &["logs", "-f", "local/demo#1"],
        &["why", "."],
        &["queue", "list"],
        &["destroy", ".", "--yes"],
        &["rescue", "list"],
        &["set-pr", ".", "https://h/o/r/pull/1"],
        &["config", "set", "agents.max", "4"],
        &["daemon", "status"],
        &["daemon", "stop"],
        &["daemon", "restart"],
    ];
    let begin = Instant::now();
    let start = |arguments: &&[&str]| {
        let mut command = world.command(repository.path(), *arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children: Vec<Child> = commands.iter().map(start).collect();
    let mut doctor = start(&&["doctor", "--offline"][..]);
    for (arguments, child) in commands.iter().zip(children) {
        let output = child.wait_with_output().unwrap();
        let text = shown(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {text}");
        assert!(text.contains(&format!("the daemon (process {}) does not respond", paused.0)), "{arguments:?}: {text}");
        assert!(text.contains(&format!("kill -CONT {}", paused.0)), "{arguments:?}: {text}");
    }
    assert!(begin.elapsed() < Duration::from_secs(50), "{:?}", begin.elapsed());
    let mut text = String::new();
    doctor.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    doctor.wait().unwrap();
    assert!(text.contains("does not respond"), "{text}");
    drop(paused);
    // It may carry out what it received meanwhile, so the issue may have another task.
    assert!(world.run(["list", "--all"]).contains("local/demo#1"));
}

#[test]
fn a_slow_request_is_waited_for_while_the_daemon_is_alive() {
    let world = World::new();
    let repository = world.repository("demo");
    // Contacting the repository takes longer than a daemon may take to show that it is alive.
    let program = world.home.folder("slow").join("git");
    let text = "#!/bin/sh\nif [ -e \"$0.slow\" ] && [ \"$1\" != --version ]; then rm \"$0.slow\"; sleep 8; fi\nPATH=${PATH#*:} exec git \"$@\"\n";
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut start = world.command(repository.path(), ["daemon", "start"]);
    assert!(start.env("PATH", &path).status().unwrap().success());
    fs::write(program.with_extension("slow"), "").unwrap();
    world.run_in(repository.path(), ["start", ".", &script(&["say hello"])]);
}

#[test]
fn a_deleted_socket_comes_back() {
    let world = World::new();
    let repository = world.repository("demo");
    world.start(&repository, &script(&["say hello"]));
    let daemon = world.daemon();
    let socket = world.home.kugetsu().join("daemon.sock");
    for _ in 0..3 {
        fs::remove_file(&socket).unwrap();
        assert_eq!(world.latest("local/demo#1")["state"], "done");
        assert_eq!(world.daemon(), daemon, "the same daemon");
    }
    fs::remove_file(&socket).unwrap();
    eventually("the daemon to listen again", || socket.exists().then_some(()));
    fs::remove_file(&socket).unwrap();
    world.run(["daemon", "stop"]);
    eventually("the daemon to be gone", || !is_alive(daemon));
}

#[test]
fn stopping_the_daemon_does_not_fail_those_who_wait() {
    let world = World::new();
    let repository = world.repository("demo");
    let message = script(&["say ready", "wait go"]);
    let start = |arguments: &[&str]| {
        let mut command = world.command(repository.path(), arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let waiting = start(&["start", ".", &message, "--wait", "--json"]);
    eventually("the agent to start", || {
        world.json(["list", "--json"]).as_array().is_some_and(|all| !all.is_empty())
            && world.agent_text("local/demo#1").contains("ready")
    });
    let mut following = start(&["logs", "-f", "local/demo#1"]);
    let mut interrupted = start(&["continue", "local/demo#1", "more", "--wait"]);
    eventually("the second task", || {
        (world.json(["queue", "list", "--json"]).as_array().unwrap().len() == 2).then_some(())
    });
    world.run(["daemon", "stop"]);
    // Both say that they wait.
    for child in [&mut following, &mut interrupted] {
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("waiting for the next one")));
    }
    kill(Pid::from_raw(interrupted.id().cast_signed()), Signal::SIGINT).unwrap();
    assert_eq!(interrupted.wait().unwrap().code(), Some(130));
    world.run(["daemon", "start"]);
    world.release_agents();
    let output = waiting.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    assert!(following.wait().unwrap().success());
}

#[test]
fn restart_replaces_the_daemon_and_starts_one_if_none_runs() {
    let world = World::new();
    world.run(["daemon", "restart"]);
    let first = world.daemon();
    world.run(["daemon", "restart"]);
    assert_ne!(world.daemon(), first);
    eventually("the daemon to be gone", || !is_alive(first));
}

#[test]
fn an_older_daemon_is_restarted_when_nothing_is_disturbed() {
    let world = World::new();
    world.run(["status"]);
    let old = world.daemon();
    let lock = world.home.kugetsu().join("daemon.lock");
    // From before there was a protocol: it does not report its requests.
    fs::write(&lock, format!("{old} 0.0.1\n")).unwrap();
    let output = world.attempt(["status"]);
    assert!(shown(&output).contains("version 0.0.1") && shown(&output).contains("kugetsu daemon restart"));
    assert!(is_alive(old));
    fs::write(&lock, format!("{old} 99.0.0\nprotocol 9\n")).unwrap();
    assert!(shown(&world.attempt(["status"])).contains("version 99.0.0"));
    assert!(is_alive(old), "a newer one is left alone");
    fs::write(&lock, format!("{old} 0.0.1\nprotocol 1\n")).unwrap();
    let output = world.attempt(["status"]);
    assert!(output.status.success() && shown(&output).contains("restarting the daemon"), "{}", shown(&output));
    eventually("the daemon to be gone", || !is_alive(old));
    assert!(!shown(&world.attempt(["status"])).contains("version 0.0.1"));
}

#[test]
fn runners_are_of_the_daemons_version_although_its_program_was_replaced() {
    let world = World::new();
    let repository = world.repository("demo");
    let program = world.home.folder("bin").join("kugetsu");
    fs::copy(env!("CARGO_BIN_EXE_kugetsu"), &program).unwrap();
    let mut start = world.home.command(&program);
    assert!(start.args(["daemon", "start"]).status().unwrap().success());
    fs::remove_file(&program).unwrap();
    fs::write(&program, "#!/bin/sh\nexit 7\n").unwrap();
    let (run, code) = world.start(&repository, &script(&["write a.txt a", "commit a"]));
    assert_eq!((code, &run["state"]), (0, &"done".into()), "{run}");
}

#[test]
fn a_stream_that_fails_does_not_look_complete() {
    let world = World::new();
    let repository = world.repository("demo");
    world.start(&repository, &script(&["say hello"]));
    let run = world.latest("local/demo#1")["run"].as_str().unwrap().to_owned();
    // A directory cannot be read as a file.
    let records = world.home.kugetsu().join("runs").join(run).join("records.jsonl");
    fs::rename(&records, records.with_extension("away")).unwrap();
    fs::create_dir(&records).unwrap();
    let output = world.attempt(["logs", "local/demo#1"]);
    assert_eq!(output.status.code(), Some(1), "{}", shown(&output));
    assert!(shown(&output).contains("could not read the records"), "{}", shown(&output));
    let mut socket = UnixStream::connect(world.home.kugetsu().join("daemon.sock")).unwrap();
    write!(socket, "GET /v1/transcript?reference=local%2Fdemo%231&cwd=%2F HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut response = String::new();
    let _ = socket.read_to_string(&mut response);
    assert!(response.contains("{\"problem\":{\"kind\":\"failed\""), "{response}");
    assert!(!response.ends_with("0\r\n\r\n"), "the body has no end: {response}");
}

#[test]
fn one_damaged_event_hides_no_other() {
    let world = World::new();
    let repository = world.repository("demo");
    world.start(&repository, &script(&["say hello"]));
    world.run(["daemon", "stop"]);
    let database = world.home.kugetsu().join("state/kugetsu.db");
    tamper(&database, "UPDATE events SET data = 'x' WHERE kind = 'task_claimed'");
    world.run(["status"]);
    let mut socket = UnixStream::connect(world.home.kugetsu().join("daemon.sock")).unwrap();
    write!(socket, "GET /v1/events HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut response = String::new();
    socket.read_to_string(&mut response).unwrap();
    assert!(response.contains("task_queued") && response.contains("run_ended"), "{response}");
    let (output, _) = (world.attempt(["list"]), ());
    assert!(output.status.success(), "{}", shown(&output));
}
