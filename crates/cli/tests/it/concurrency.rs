//! Many at once: everybody gets what is theirs, and never more run than may.

use std::collections::BTreeSet;
use std::process::Stdio;

use kugetsu_testkit::{Repository, eventually};
use serde_json::Value;

use crate::world::{World, script};

const COUNT: usize = 10;
/// How many may run at once (`agents.max`, as it is by default).
const PLACES: usize = 3;

/// Starts all at the same moment, watches how many run, and returns every issue's run.
fn start_all(world: &World, repositories: &[&Repository]) -> Vec<Value> {
    let children: Vec<_> = (0..COUNT)
        .map(|index| {
            let repository = repositories[index % repositories.len()];
            let own = format!("write own-{index}.txt {index}");
            let counted = "run echo begin >> \"$HOME/counted\"";
            let message = script(&["pwd", &own, counted, "wait go", "run ls", "commit mine"]);
            let mut command = world.command(repository.path(), ["start", ".", &message, "--json"]);
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let begun = || std::fs::read_to_string(world.home.user().join("counted")).unwrap_or_default().lines().count();
    eventually("every place to be taken", || if begun() < PLACES { Err(begun()) } else { Ok(()) });
    assert_eq!((begun(), runs(world, "running").len(), runs(world, "queued").len()), (PLACES, PLACES, COUNT - PLACES));
    world.open_gate();
    let all = eventually("all to be done", || {
        let running = world.processes("kugetsu-scripted-agent").len();
        assert!(running <= PLACES, "{running} agents run");
        let done = runs(world, "done");
        if done.len() == COUNT { Ok(done) } else { Err(world.run(["list"])) }
    });
    assert_eq!(begun(), COUNT);
    assert_eq!(most_at_once(&all), PLACES);
    all
}

/// The latest runs of all issues that are in this state.
fn runs(world: &World, state: &str) -> Vec<Value> {
    let all = world.json(["list", "--json"]);
    all.as_array().unwrap().iter().filter(|run| run["state"] == state).cloned().collect()
}

/// The most runs that went on together, by the times that the daemon stored.
fn most_at_once(runs: &[Value]) -> usize {
    let time = |run: &Value, field: &str| run[field].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let times: Vec<_> = runs.iter().map(|run| (time(run, "started_at"), time(run, "ended_at"))).collect();
    let at = |moment| times.iter().filter(|(start, end)| *start <= moment && moment < *end).count();
    times.iter().map(|(start, _)| at(*start)).max().unwrap_or_default()
}

fn nobody_has_what_is_not_theirs(world: &World, runs: &[Value]) {
    let distinct = |field: &str| runs.iter().map(|run| run[field].as_str().unwrap()).collect::<BTreeSet<_>>().len();
    assert_eq!(distinct("session_id"), COUNT);
    assert_eq!(distinct("worktree"), COUNT);
    for run in runs {
        let worktree = run["worktree"].as_str().unwrap();
        let said = world.said(run["issue"].as_str().unwrap());
        assert!(said.contains(&format!("PWD {worktree}\n")) && said.contains(&format!("session {worktree}")), "{said}");
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
    nobody_has_what_is_not_theirs(&world, &runs);
    assert_eq!(repository.git(["for-each-ref", "--format=x", "refs/heads/kugetsu"]).lines().count(), COUNT);
}

#[test]
fn ten_concurrent_starts_in_ten_repositories() {
    let world = World::new();
    let repositories: Vec<Repository> = (0..COUNT).map(|index| world.repository(&format!("demo{index}"))).collect();
    let runs = start_all(&world, &repositories.iter().collect::<Vec<_>>());
    nobody_has_what_is_not_theirs(&world, &runs);
}
