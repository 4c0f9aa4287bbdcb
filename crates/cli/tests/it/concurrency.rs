//! Many concurrent starts: runs stay apart, and `agents.max` holds.

use std::collections::BTreeSet;
use std::process::Stdio;

use kugetsu_testkit::{Repository, eventually};
use serde_json::Value;

use crate::world::{World, script};

const COUNT: usize = 10;
/// The default of `agents.max`.
const SLOTS: usize = 3;

/// Starts all at the same moment, checks how many run at once, and returns every issue's run.
fn start_all(world: &World, repositories: &[&Repository]) -> Vec<Value> {
    let children: Vec<_> = (0..COUNT)
        .map(|index| {
            let repository = repositories[index % repositories.len()];
            let own = format!("write own-{index}.txt {index}");
            let counted = "run echo started >> \"$HOME/counted\"";
            let message = script(&["pwd", &own, counted, "wait go", "run ls", "commit mine"]);
            let mut command = world.command(repository.path(), ["start", ".", &message, "--json"]);
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let started = || std::fs::read_to_string(world.home.user().join("counted")).unwrap_or_default().lines().count();
    eventually("all slots to be in use", || if started() < SLOTS { Err(started()) } else { Ok(()) });
    assert_eq!((started(), runs(world, "running").len(), runs(world, "queued").len()), (SLOTS, SLOTS, COUNT - SLOTS));
    world.release_agents();
    let all = eventually("all to be done", || {
        let running = world.processes("kugetsu-scripted-agent").len();
        assert!(running <= SLOTS, "{running} agents run");
        let done = runs(world, "done");
        if done.len() == COUNT { Ok(done) } else { Err(world.run(["list"])) }
    });
    assert_eq!(started(), COUNT);
    assert_eq!(most_at_once(&all), SLOTS);
    all
}

/// The latest runs in this state.
fn runs(world: &World, state: &str) -> Vec<Value> {
    let all = world.json(["list", "--json"]);
    all.as_array().unwrap().iter().filter(|run| run["state"] == state).cloned().collect()
}

/// The largest number of concurrent runs, by their stored times.
fn most_at_once(runs: &[Value]) -> usize {
    let time = |run: &Value, field: &str| run[field].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let times: Vec<_> = runs.iter().map(|run| (time(run, "started_at"), time(run, "ended_at"))).collect();
    let at = |moment| times.iter().filter(|(start, end)| *start <= moment && moment < *end).count();
    times.iter().map(|(start, _)| at(*start)).max().unwrap_or_default()
}

fn assert_runs_are_separate(world: &World, runs: &[Value]) {
    let distinct = |field: &str| runs.iter().map(|run| run[field].as_str().unwrap()).collect::<BTreeSet<_>>().len();
    assert_eq!(distinct("session_id"), COUNT);
    assert_eq!(distinct("worktree"), COUNT);
    for run in runs {
        let worktree = run["worktree"].as_str().unwrap();
        let text = world.agent_text(run["issue"].as_str().unwrap());
        assert!(text.contains(&format!("PWD {worktree}\n")) && text.contains(&format!("session {worktree}")), "{text}");
        let own = std::fs::read_dir(worktree).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert_eq!(own.filter(|name| name.starts_with("own-")).count(), 1, "{worktree}");
        assert_eq!((&run["commits"], &run["pushed"]), (&1.into(), &true.into()), "{run}");
    }
}

#[test]
fn ten_concurrent_starts_in_one_repository() {
    let world = World::new();
    let repository = world.repository("demo");
    let runs = start_all(&world, &[&repository]);
    assert_runs_are_separate(&world, &runs);
    assert_eq!(repository.git(["for-each-ref", "--format=x", "refs/heads/kugetsu"]).lines().count(), COUNT);
}

#[test]
fn ten_concurrent_starts_in_ten_repositories() {
    let world = World::new();
    let repositories: Vec<Repository> = (0..COUNT).map(|index| world.repository(&format!("demo{index}"))).collect();
    let runs = start_all(&world, &repositories.iter().collect::<Vec<_>>());
    assert_runs_are_separate(&world, &runs);
}
