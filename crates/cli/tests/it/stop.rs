//! `kugetsu stop` ends agents at once, whatever they do about it, and keeps their work.

use std::fs;
use std::path::PathBuf;

use kugetsu_testkit::{Repository, eventually};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::world::{World, is_alive, script, shown};

/// A background process of the agent that survives SIGTERM. It counts its sleeps, so that a busy machine counts fewer.
const STUBBORN: &str =
    "run (trap 'echo term >> ticks' TERM; while :; do sleep 0.05; echo tick >> ticks; done) >/dev/null 2>&1 &";
/// Sleeps of it in two seconds.
const TICKS_MAX: usize = 40;

fn ticks(world: &World, reference: &str) -> Vec<String> {
    let path = world.worktree(reference).join("ticks");
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn stubborn(world: &World, repository: &Repository) -> String {
    let reference = world.queue(repository, &script(&["write half.txt half", STUBBORN, "freeze"]));
    world.await_state(&reference, "running");
    eventually("the stubborn process", || {
        let worktree = world.latest(&reference)["worktree"].as_str().map(PathBuf::from);
        worktree.is_some_and(|worktree| worktree.join("ticks").exists()).then_some(())
    });
    reference
}

/// Checks that SIGTERM came first, and SIGKILL within two seconds.
#[track_caller]
fn assert_ended_in_time(world: &World, reference: &str) {
    let ticks = ticks(world, reference);
    let term = ticks.iter().position(|line| line == "term");
    let after = term.map(|term| ticks.len() - term);
    assert!(after.is_some_and(|after| after <= TICKS_MAX), "{term:?} of {}", ticks.len());
    assert_eq!(world.processes("kugetsu-scripted-agent"), Vec::<i32>::new());
}

#[test]
fn stop_all_ends_agents_that_obey_nothing_and_keeps_their_work() {
    let world = World::new();
    world.run(["config", "set", "agents.max", "3"]);
    let repository = world.repository("demo");
    let first = stubborn(&world, &repository);
    let frozen = world.queue(&repository, &script(&["write b.txt b", "commit b", "say ready", "freeze"]));
    let orphan = world.queue(&repository, &script(&["orphan", "say ready", "freeze"]));
    for reference in [&frozen, &orphan] {
        world.await_state(reference, "running");
        eventually("the agent", || world.agent_text(reference).contains("ready").then_some(()));
    }
    let pid: i32 = fs::read_to_string(world.worktree(&orphan).join("orphan.pid")).unwrap().trim().parse().unwrap();
    let waiting = world.queue(&repository, &script(&["say later"]));

    let text = world.run(["stop", "--all"]);
    assert_ended_in_time(&world, &first);
    assert!(!is_alive(pid), "a process without any mark");
    for part in ["ended 3 agents", "their work is kept", "no agent starts until `kugetsu resume`", "kugetsu continue "]
    {
        assert!(text.contains(part), "{text}");
    }
    for reference in [&first, &frozen, &orphan] {
        world.await_state(reference, "canceled");
    }
    assert_eq!(world.latest(&waiting)["state"], "queued");
    assert_eq!(fs::read_to_string(world.worktree(&first).join("half.txt")).unwrap(), "half\n");
    assert_eq!(fs::read_to_string(world.worktree(&frozen).join("b.txt")).unwrap(), "b\n");
    assert!(world.run(["stop", "--all"]).contains("no agent was running"));

    world.run(["continue", &first, &script(&["history", "commit all"])]);
    world.run(["resume"]);
    world.await_state(&waiting, "done");
    let run = world.await_state(&first, "done");
    assert!(world.agent_text(&first).contains("1 earlier prompt"), "{run}");
    let sessions = world.records(&first, "session");
    assert_eq!((&sessions[1]["session"], &sessions[1]["resumed"]), (&sessions[0]["session"], &true.into()));
}

#[test]
fn stop_kills_the_agent_of_a_runner_that_does_not_answer() {
    let world = World::new();
    let repository = world.repository("demo");
    let other = world.queue(&repository, &script(&["say ready", "hang"]));
    world.await_state(&other, "running");
    let reference = stubborn(&world, &repository);
    let run = world.latest(&reference)["run"].as_str().unwrap().to_owned();
    let runner = Pid::from_raw(world.processes(&format!("runs/{run}"))[0]);
    kill(runner, Signal::SIGSTOP).unwrap();
    let text = world.run(["stop", &reference]);
    assert!(text.contains("ended the agent of local/demo#2"), "{text}");
    let left = ticks(&world, &reference);
    assert!(left.iter().any(|line| line == "term"), "{left:?}");
    assert_eq!(world.latest(&other)["state"], "running", "only the named one is ended");
    assert_eq!(world.json(["status", "--json"])["holds"], serde_json::json!([]), "and nothing is paused");
    kill(runner, Signal::SIGCONT).unwrap();
    world.await_state(&reference, "canceled");
    let idle = world.attempt(["stop", &reference, &other]);
    let text = shown(&idle);
    assert!(!idle.status.success() && text.contains("no agent works on local/demo#2"), "{text}");
    assert!(text.contains("ended the agent of local/demo#1"), "{text}");
}

#[test]
fn stop_ends_an_agent_that_is_starting() {
    let mut world = World::new();
    world.home.set("KUGETSU_SCRIPTED_AGENT_ARGS", "--slow-start 600000");
    let repository = world.repository("demo");
    let reference = world.queue(&repository, &script(&["say late"]));
    eventually("the agent", || (!world.processes("kugetsu-scripted-agent").is_empty()).then_some(()));
    let text = world.run(["stop", &reference]);
    assert!(text.contains("ended the agent of local/demo#1"), "{text}");
    assert_eq!(world.processes("kugetsu-scripted-agent"), Vec::<i32>::new());
    let run = world.await_state(&reference, "canceled");
    assert!(run["reason"].as_str().unwrap().contains("canceled on request"), "{run}");
}
