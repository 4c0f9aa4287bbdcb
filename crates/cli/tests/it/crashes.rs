//! Crashes of the daemon and the runner: work continues, is reported once, and leaves nothing behind.

use std::io::{BufRead, Read, Write};
use std::os::unix::net::UnixStream;

use kugetsu_api::endpoints;
use kugetsu_testkit::eventually;

use crate::world::{World, hold, kill, script, tamper};

pub(crate) fn await_ready(world: &World, reference: &str) {
    eventually("the agent to start", || world.agent_text(reference).contains("ready").then_some(()));
}

#[test]
fn run_continues_without_the_daemon_and_is_reported_once() {
    let world = World::new();
    let repository = world.repository("demo");
    let reference = world.queue(&repository, &script(&["say ready", "wait go", "write a.txt a", "commit a"]));
    await_ready(&world, &reference);
    world.kill_daemon();
    world.release_agents();
    eventually("the runner to end", || world.processes(" runner ").is_empty().then_some(()));
    let run = world.await_state(&reference, "done");
    assert_eq!((&run["pushed"], &run["commits"]), (&true.into(), &1.into()), "{run}");
    let ended = world.records(&reference, "ended");
    assert_eq!(ended.len(), 1);
    assert_eq!(repository.log(run["branch"].as_str().unwrap()).len(), 2);
}

#[test]
fn run_that_outlives_two_daemons_reports_to_the_third() {
    let world = World::new();
    let repository = world.repository("demo");
    let reference = world.queue(&repository, &script(&["say ready", "wait go", "write a.txt a", "commit a"]));
    await_ready(&world, &reference);
    for _ in 0..2 {
        world.kill_daemon();
        assert_eq!(
            world.latest(&reference)["state"],
            "running",
            "the command starts a new daemon, which finds the run"
        );
    }
    world.release_agents();
    let run = world.await_state(&reference, "done");
    assert_eq!(run["commits"], 1, "{run}");
    assert_eq!(world.records(&reference, "prompt").len(), 1, "the task was sent once");
}

#[test]
fn stopping_the_daemon_leaves_agents_running() {
    let world = World::new();
    let repository = world.repository("demo");
    let reference = world.queue(&repository, &script(&["say ready", "wait go", "write a.txt a", "commit a"]));
    await_ready(&world, &reference);
    let before = world.processes("kugetsu-scripted-agent");
    world.run(["daemon", "stop"]);
    assert_eq!(world.processes("kugetsu-scripted-agent"), before);
    world.run(["daemon", "start"]);
    world.release_agents();
    world.await_state(&reference, "done");
}

#[test]
fn task_of_a_killed_runner_is_retried_in_the_same_session() {
    let world = World::new();
    let repository = world.repository("demo");
    let reference =
        world.queue(&repository, &script(&["history", "write half.txt half", "say ready", "wait go", "commit all"]));
    await_ready(&world, &reference);
    let session = world.latest(&reference)["session_id"].clone();
    let first = world.latest(&reference)["run"].clone();
    kill(world.processes(" runner ")[0]);
    eventually("the next attempt", || {
        let run = world.latest(&reference);
        if run["run"] != first && run["state"] == "running" { Ok(()) } else { Err(run) }
    });
    world.release_agents();
    let run = world.await_state(&reference, "done");
    assert_eq!(run["session_id"], session);
    assert!(world.agent_text(&reference).contains("1 earlier"), "{}", world.agent_text(&reference));
    let prompts = world.records(&reference, "prompt");
    let again = prompts[1]["text"].as_str().unwrap();
    assert!(again.contains("was cut off") && again.contains("    half.txt\n"), "{again}");
    let lost = world.records(&reference, "lost");
    assert!(lost[0]["reason"].as_str().unwrap().contains("killed by signal 9"), "{lost:?}");
    assert!(world.run(["logs", &reference]).contains("lost: its runner was killed by signal 9"));
    assert_eq!(world.processes("kugetsu-scripted-agent"), Vec::<i32>::new());
    let status = world.json(["status", "--json"]);
    assert_eq!((&status["running"], &status["places_taken"]), (&0.into(), &0.into()), "{status}");
}

#[test]
fn push_of_a_killed_runner_ends_with_the_hooks_that_it_started() {
    let world = World::new();
    let repository = world.repository("demo");
    let pids = world.home.user().join("hook-pids");
    let hook = repository.path().join(".git/hooks/pre-receive");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    let child = world.home.user().join("hook-child");
    let script_of = |first: &str| format!("#!/bin/sh\n{first}echo $$ >> '{}'\nexec sleep 300\n", pids.display());
    std::fs::write(&child, script_of("")).unwrap();
    // A child in a new session is in no group of git's.
    std::fs::write(&hook, script_of(&format!("setsid sh '{}' > /dev/null 2>&1 &\n", child.display()))).unwrap();
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let reference = world.queue(&repository, &script(&["write a.txt a", "commit a"]));
    let started: Vec<i32> = eventually("the hook and its child", || {
        let text = std::fs::read_to_string(&pids).unwrap_or_default();
        let pids: Vec<i32> = text.lines().filter_map(|line| line.parse().ok()).collect();
        if pids.len() == 2 { Ok(pids) } else { Err(text) }
    });
    std::fs::remove_file(&hook).unwrap();
    kill(world.processes(" runner ")[0]);
    eventually("the end of the push", || {
        let alive = |pid: &i32| std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty());
        let left: Vec<&i32> = started.iter().filter(|pid| alive(pid)).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    });
    let run = world.await_state(&reference, "done");
    assert_eq!(run["pushed"], true, "{run}");
}

#[test]
fn killing_daemon_and_runner_together_loses_nothing() {
    let world = World::new();
    let repository = world.repository("demo");
    let reference = world.queue(&repository, &script(&["write half.txt half", "say ready", "wait go", "commit all"]));
    await_ready(&world, &reference);
    kill(world.daemon());
    kill(world.processes(" runner ")[0]);
    world.release_agents();
    let run = world.await_state(&reference, "done");
    assert_eq!(repository.show_text(run["branch"].as_str().unwrap(), "half.txt"), "half\n");
    let rescues = world.json(["rescue", "list", &reference, "--json"]);
    assert!(rescues[0]["why"].as_str().unwrap().contains("was lost"), "{rescues}");
}

#[test]
fn task_fails_after_its_runner_died_three_times() {
    let world = World::new();
    let repository = world.repository("demo");
    let reference = world.queue(&repository, &script(&["run echo $KUGETSU_RUN > half.txt", "say ready", "wait go"]));
    let mut seen = Vec::new();
    let run = eventually("the task to fail", || {
        let run = world.latest(&reference);
        if run["state"] == "failed" {
            return Ok(run);
        }
        let runners = world.processes(" runner ");
        let is_ready = world.agent_text(&reference).matches("ready").count() > seen.len();
        if run["state"] == "running" && !seen.contains(&run["run"]) && !runners.is_empty() && is_ready {
            seen.push(run["run"].clone());
            kill(runners[0]);
        }
        Err(run)
    });
    assert_eq!(seen.len(), 3, "{run}");
    assert!(run["reason"].as_str().unwrap().contains("gave up after 3 attempts"), "{run}");
    let rescues = || world.json(["rescue", "list", &reference, "--json"]).as_array().unwrap().len();
    eventually("the rescue of the last attempt", || (rescues() >= 3).then_some(()));
    let last = world.json(["rescue", "list", &reference, "--json"]);
    assert!(last.to_string().contains("the run was lost"), "{last}");
    assert_eq!(world.records(&reference, "lost").len(), 3);
    world.run(["continue", &reference, &script(&["run rm half.txt"]), "--wait"]);
}

#[test]
fn stopped_runner_is_killed_after_a_cancel() {
    let mut world = World::new();
    world.limit = std::time::Duration::from_secs(240);
    let repository = world.repository("demo");
    let reference = world.queue(&repository, &script(&["write half.txt half", "say ready", "wait go"]));
    await_ready(&world, &reference);
    let runner = nix::unistd::Pid::from_raw(world.processes(" runner ")[0]);
    nix::sys::signal::kill(runner, nix::sys::signal::Signal::SIGSTOP).unwrap();
    world.run(["queue", "cancel", &reference]);
    let run = kugetsu_testkit::eventually_within(world.limit, "the end of the run", || {
        let run = world.latest(&reference);
        if run["state"] == "canceled" { Ok(run) } else { Err(run) }
    });
    assert!(run["reason"].as_str().unwrap().contains("did not end it within 1m"), "{run}");
    assert_eq!(world.processes(" runner "), Vec::<i32>::new());
    assert_eq!(world.processes("kugetsu-scripted-agent"), Vec::<i32>::new());
    eventually("the rescue", || {
        let rescues = world.json(["rescue", "list", &reference, "--json"]);
        if rescues.as_array().unwrap().len() == 1 { Ok(()) } else { Err(rescues) }
    });
    assert!(world.run(["logs", &reference]).contains("was killed"));
    assert_eq!(world.json(["status", "--json"])["running"], 0);
}

#[test]
fn daemon_starts_on_demand_and_stops_on_request() {
    let world = World::new();
    let none = world.attempt(["daemon", "status"]);
    assert_eq!(none.status.code(), Some(1), "{}", crate::world::shown(&none));
    world.run(["list"]);
    let first = world.daemon();
    world.run(["daemon", "start"]);
    assert_eq!(world.daemon(), first, "it is already running");
    world.run(["daemon", "stop"]);
    eventually("the daemon to be gone", || !crate::world::is_alive(first));
    assert!(!world.home.kugetsu().join("daemon.sock").exists());
    world.run(["daemon", "stop"]);
    kill({
        world.run(["daemon", "start"]);
        world.daemon()
    });
    assert_eq!(world.json(["status", "--json"])["running"], 0, "the socket of a killed daemon is replaced");
}

#[test]
fn ten_concurrent_commands_start_one_daemon() {
    let world = World::new();
    let mut children: Vec<_> = (0..10)
        .map(|_| {
            world.command(&world.home.user(), ["status", "--json"]).stdout(std::process::Stdio::null()).spawn().unwrap()
        })
        .collect();
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(world.processes("daemon run").len(), 1);
    let second = world.attempt(["daemon", "run"]);
    assert_ne!(second.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&second.stderr).contains("already"), "{}", crate::world::shown(&second));
}

#[test]
fn logs_follow_survives_a_daemon_crash() {
    let world = World::new();
    let repository = world.repository("demo");
    let reference = world.queue(&repository, &script(&["say ready", "wait go", "say the end"]));
    await_ready(&world, &reference);
    let mut follow = world.command(&world.home.user(), ["logs", "-f", &reference, "--json"]);
    let mut child = follow.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    while !text.contains("ready") {
        assert!(lines.read_line(&mut text).unwrap() > 0, "logs ended too early: {text}");
    }
    world.kill_daemon();
    world.release_agents();
    lines.read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success(), "{text}");
    assert_eq!(text.matches("the end").count() - text.matches("say the end").count(), 1, "{text}");
    assert_eq!(text.matches("\"prompt\"").count(), 1, "records are printed once: {text}");
}

#[test]
fn queued_task_runs_after_its_client_has_disconnected() {
    const COUNT: u64 = 12;
    let world = World::new();
    let repository = world.repository("demo");
    world.start(&repository, &script(&["say hello"]));
    world.run(["config", "set", "agents.max", "0"]);
    for number in 0..COUNT {
        let task = format!("0190b0b0-0000-7000-8000-{number:012}");
        let request = serde_json::json!({
            "task": task, "kind": "start", "reference": ".", "cwd": repository.path(), "message": script(&["say hello"]),
        });
        let body = request.to_string();
        let mut socket = UnixStream::connect(world.home.kugetsu().join("daemon.sock")).unwrap();
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n",
            endpoints::QUEUE_TASK.route.path
        );
        write!(socket, "{head}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
        // Some disconnect before their request is read, some between its commit and the response, some after.
        std::thread::sleep(std::time::Duration::from_millis(2 * number));
        drop(socket);
    }
    world.run(["config", "set", "agents.max", "4"]);
    eventually("all stored tasks to be done", || {
        let all = world.json(["list", "--json"]);
        let states: Vec<&str> = all.as_array().unwrap().iter().map(|run| run["state"].as_str().unwrap()).collect();
        if states.iter().all(|state| *state == "done") { Ok(()) } else { Err(states.join(" ")) }
    });
}

#[test]
fn run_that_ends_while_the_database_is_locked_frees_its_slot() {
    let world = World::new();
    let repository = world.repository("demo");
    let reference = world.queue(&repository, &script(&["say ready", "wait go", "write a.txt a", "commit a"]));
    await_ready(&world, &reference);
    let held = hold(&world.home.kugetsu().join("state/kugetsu.db"));
    world.release_agents();
    let log = world.home.kugetsu().join("logs/daemon.log");
    eventually("the daemon to fail to write", || {
        let text = std::fs::read_to_string(&log).unwrap();
        if text.contains("trying again in") { Ok(()) } else { Err(text) }
    });
    drop(held);
    let run = world.await_state(&reference, "done");
    assert_eq!(run["commits"], 1, "{run}");
    assert_eq!(world.json(["status", "--json"])["places_taken"], 0);
}

#[test]
fn daemon_is_not_started_inside_a_run() {
    let world = World::new();
    let repository = world.repository("demo");
    let inside = format!("run '{}' status 2>&1; true", env!("CARGO_BIN_EXE_kugetsu"));
    let reference = world.queue(&repository, &script(&["say ready", "wait go", &inside]));
    await_ready(&world, &reference);
    world.kill_daemon();
    world.release_agents();
    eventually("the runner to end", || world.processes(" runner ").is_empty().then_some(()));
    assert_eq!(world.processes("daemon run"), Vec::<i32>::new());
    world.await_state(&reference, "done");
    let output = world.records(&reference, "tool_ended")[0]["output"].to_string();
    assert!(output.contains("an agent of local/demo#1 may not use kugetsu"), "{output}");
}

#[test]
fn runner_of_version_0_1_reports_to_a_newer_daemon() {
    let world = World::new();
    let repository = world.repository("demo");
    let reference = world.queue(&repository, &script(&["say ready", "hang"]));
    await_ready(&world, &reference);
    let run = world.latest(&reference)["run"].as_str().unwrap().to_owned();
    // Such a runner has no key. The runner that the test has started is refused from now on.
    tamper(&world.home.kugetsu().join("state/kugetsu.db"), "UPDATE runs SET key = NULL");
    let ended = serde_json::json!({
        "at": 0, "type": "ended", "state": "blocked", "reason": "from an older runner", "head_sha": null, "commits": 0,
        "pushed": false, "usage": {"cost_usd": 0.5, "input_tokens": 1, "output_tokens": 2},
    });
    // A record without its end is left for the next report.
    let body = format!("{{\"at\":0,\"type\":\"step\",\"text\":\"x\"}}\n{ended}\n{{\"at\":0,");
    let mut socket = UnixStream::connect(world.home.kugetsu().join("daemon.sock")).unwrap();
    let head = format!("POST /v1/runs/{run}/report?offset=1000000 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
    write!(socket, "{head}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut response = String::new();
    socket.read_to_string(&mut response).unwrap();
    let acknowledged = 1_000_000 + body.len() - "{\"at\":0,".len();
    assert!(response.ends_with(&format!("{{\"offset\":{acknowledged},\"over\":false}}")), "{response}");
    let run = world.await_state(&reference, "blocked");
    assert_eq!((&run["reason"], &run["usage"]["cost_usd"]), (&"from an older runner".into(), &0.5.into()), "{run}");
    assert!(run["hint"].is_null(), "records of older runners have none: {run}");
}

#[test]
fn log_is_rotated_while_the_daemon_runs() {
    let world = World::new();
    world.run(["status"]);
    let log = world.home.kugetsu().join("logs/daemon.log");
    let config = world.home.kugetsu().join("config.toml");
    let valid = std::fs::read_to_string(&config).unwrap();
    let log_mistake = |value: &str| {
        std::fs::write(&config, format!("{valid}\n[run]\nsilence = \"{value}\"\n")).unwrap();
        world.attempt(["status"]);
    };
    std::fs::OpenOptions::new().write(true).open(&log).unwrap().set_len(20 * 1024 * 1024).unwrap();
    log_mistake("first");
    log_mistake("second");
    // Lines about other events may be the ones that fill the old file.
    let new = std::fs::read_to_string(&log).unwrap();
    let old = std::fs::read(log.with_extension("log.1")).unwrap();
    assert!(old.len() >= 20 * 1024 * 1024, "{}", old.len());
    let end = &old[20 * 1024 * 1024..];
    assert!(new.contains("second") && !new.contains('\0'), "{new}");
    assert!(new.contains("first") || String::from_utf8_lossy(end).contains("first"), "{new}");
}
