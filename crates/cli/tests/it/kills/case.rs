//! Tasks of which every step can be interrupted: what a user has confirmed, and the way back to rest.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kugetsu_testkit::{Repository, eventually_within};
use serde_json::Value;

use super::ledger::Ledger;
use crate::world::{World, script, shown};

/// Time until all tasks have ended. A task whose runner was lost begins again, up to two times.
pub(super) const LIMIT: Duration = Duration::from_secs(180);

pub(super) struct Case {
    pub(super) world: World,
    pub(super) repositories: Vec<Repository>,
    pub(super) ledger: Ledger,
    /// The tasks that kugetsu has confirmed: their name in the ledger, their ID and their issue.
    pub(super) confirmed: Vec<Confirmed>,
    /// The number of tasks, confirmed or not.
    pub(super) tasks: u32,
}

#[derive(Debug)]
pub(super) struct Confirmed {
    pub(super) name: String,
    pub(super) task: String,
    pub(super) issue: String,
}

impl Case {
    pub(super) fn new(world: World, repositories: Vec<Repository>) -> Self {
        let ledger = Ledger::new(&world.home);
        Self { world, repositories, ledger, confirmed: Vec::new(), tasks: 0 }
    }

    /// Returns the name of the next task.
    pub(super) fn next_name(&mut self) -> String {
        self.tasks += 1;
        format!("t{}", self.tasks)
    }

    /// Queues a task. It is confirmed if the command succeeds, which is returned.
    pub(super) fn queue(&mut self, directory: &Path, verb: &str, reference: &str, name: String, message: &str) -> bool {
        let output = self.world.try_in(directory, [verb, reference, message, "--agent", "scripted", "--json"]);
        eprintln!("  {verb} {reference} as {name}: {}", output.status);
        if !output.status.success() {
            eprintln!("{}", String::from_utf8_lossy(&output.stderr));
            return false;
        }
        let task: Value = serde_json::from_slice(&output.stdout).unwrap();
        let text = |field: &str| task[field].as_str().unwrap().to_owned();
        self.confirmed.push(Confirmed { name, task: text("task"), issue: text("issue") });
        true
    }

    pub(super) fn await_ends(&self) {
        eventually_within(LIMIT, "all tasks to end", || {
            let open: Vec<String> = self
                .tasks()
                .iter()
                .filter(|task| ["queued", "running"].contains(&task["state"].as_str().unwrap()))
                .map(|task| format!("{} {} {}", task["issue"], task["state"], task["reason"]))
                .collect();
            if open.is_empty() { Ok(()) } else { Err(open) }
        });
    }

    /// Every task that was ever queued.
    pub(super) fn tasks(&self) -> Vec<Value> {
        let tasks = self.world.json(["queue", "list", "--all", "--json"]);
        tasks.as_array().unwrap().clone()
    }

    /// The issues that still have their files.
    pub(super) fn issues(&self) -> Vec<String> {
        let all = self.world.json(["list", "--json"]);
        let open = all.as_array().unwrap().iter().filter(|run| run["destroyed"] == false);
        open.map(|run| run["issue"].as_str().unwrap().to_owned()).collect()
    }

    /// A lock or a damage that a killed command left would let this fail.
    pub(super) fn use_every_issue_again(&self) {
        for issue in self.issues() {
            // Changes that a killed commit or stash of the agent left would block the run.
            let commit = "run while git stash pop -q; do :; done; git add --all; git commit -q -m rest || true";
            let message = script(&["say I am back", commit]);
            let output = self.world.attempt(["continue", &issue, &message, "--wait", "--json"]);
            assert_eq!(output.status.code(), Some(0), "{issue}: {}", shown(&output));
        }
        for repository in &self.repositories {
            let (run, code) = self.world.start(repository, &script(&["write new.txt new", "commit new"]));
            assert_eq!((code, &run["pushed"]), (0, &true.into()), "{run}");
        }
    }

    /// Destroys an issue as often as it takes.
    pub(super) fn destroy(&self, issue: &str) {
        eventually_within(LIMIT, "the issue to be destroyed", || {
            if !self.issues().iter().any(|open| open == issue) {
                return Ok(());
            }
            let again = self.world.attempt(["destroy", issue, "--discard", "--yes"]);
            eprintln!("  destroy {issue} again: {}", shown(&again));
            Err(issue.to_owned())
        });
    }

    /// Renames a repository's directory, as a user does. Returns its new path.
    pub(super) fn move_repository(&mut self, index: usize) -> PathBuf {
        let moved = self.world.home.path().join("moved");
        fs::rename(self.repositories[index].path(), &moved).unwrap();
        self.repositories[index] = Repository::open(&moved);
        moved
    }

    /// Runs a command that may meet one killed call of git.
    pub(super) fn until_it_succeeds(&self, arguments: &[&str]) {
        let first = self.world.attempt(arguments);
        if !first.status.success() {
            eprintln!("  {}: {}", arguments.join(" "), shown(&first));
            self.world.run(arguments);
        }
    }
}
