//! One round: tasks, kills, and the way back to rest.

use std::time::Duration;

use kugetsu_testkit::{Repository, eventually_within};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::faulty_git::FaultyGit;
use super::invariants;
use super::ledger::Ledger;
use super::random::Random;
use crate::world::{World, script, shown};

/// Time until all tasks have ended. A task whose runner was lost begins again, up to two times.
const LIMIT: Duration = Duration::from_secs(180);

const TASKS: u32 = 4;

pub(super) struct Round<'a> {
    pub(super) world: World,
    pub(super) repositories: Vec<Repository>,
    pub(super) ledger: Ledger,
    /// The tasks that kugetsu has confirmed: their name in the ledger, their ID and their issue.
    pub(super) confirmed: Vec<Confirmed>,
    random: &'a mut Random,
    git: FaultyGit,
    tasks: u32,
}

#[derive(Debug)]
pub(super) struct Confirmed {
    pub(super) name: String,
    pub(super) task: String,
    pub(super) issue: String,
}

impl<'a> Round<'a> {
    pub(super) fn new(random: &'a mut Random) -> Self {
        let mut world = World::new();
        let git = FaultyGit::install(&mut world.home);
        let repositories = vec![world.repository("one"), world.repository("two")];
        let ledger = Ledger::new(&world.home);
        Self { world, repositories, ledger, confirmed: Vec::new(), random, git, tasks: 0 }
    }

    /// Returns the number of kills, which is `kills` or more.
    pub(super) fn run(mut self, kills: u32) -> u32 {
        for _ in 0..TASKS {
            self.start();
        }
        let mut killed = 0;
        let mut attempts = 0;
        while killed < kills && attempts < 3 * kills {
            self.random.pause(150);
            attempts += 1;
            killed += self.kill_something();
        }
        killed += self.git.disarm();
        self.await_ends();
        killed += self.destroy_with_kills();
        self.use_every_issue_again();
        invariants::check(&self);
        killed.max(1)
    }

    fn start(&mut self) {
        let repository = self.random.choose(&self.repositories).expect("a repository").path().to_owned();
        self.queue(&repository, "start", ".");
    }

    /// Queues a task. It is confirmed if the command succeeds.
    fn queue(&mut self, directory: &std::path::Path, verb: &str, reference: &str) {
        self.tasks += 1;
        let name = format!("t{}", self.tasks);
        let message = self.ledger.message(&name);
        let output = self.world.try_in(directory, [verb, reference, &message, "--json"]);
        eprintln!("  {verb} {reference} as {name}: {}", output.status);
        if !output.status.success() {
            eprintln!("{}", String::from_utf8_lossy(&output.stderr));
            return;
        }
        let task: Value = serde_json::from_slice(&output.stdout).unwrap();
        let text = |field: &str| task[field].as_str().unwrap().to_owned();
        self.confirmed.push(Confirmed { name, task: text("task"), issue: text("issue") });
    }

    fn kill_something(&mut self) -> u32 {
        match self.random.below(12) {
            0..=1 => self.kill_process("daemon run"),
            2..=3 => self.kill_process(" runner "),
            4..=5 => self.kill_process("kugetsu-scripted-agent"),
            6..=8 => {
                let count = *self.random.choose(&[1, 1, 1, 6]).expect("a count");
                self.git.arm(count, self.random);
                // Counted when it has happened.
                0
            }
            9 => self.kill_command(),
            10 => {
                let issues: Vec<String> = self.confirmed.iter().map(|task| task.issue.clone()).collect();
                if let Some(issue) = self.random.choose(&issues) {
                    self.queue(&self.world.home.user(), "continue", issue);
                }
                0
            }
            _ => {
                self.start();
                0
            }
        }
    }

    fn kill_process(&mut self, word: &str) -> u32 {
        let processes = self.world.processes(word);
        let Some(pid) = self.random.choose(&processes) else { return 0 };
        // It may have ended meanwhile.
        let is_killed = kill(Pid::from_raw(*pid), Signal::SIGKILL).is_ok();
        eprintln!("  killed {word}: {is_killed}");
        is_killed.into()
    }

    /// Kills a command at a random moment. Whether it did its work is unknown.
    fn kill_command(&mut self) -> u32 {
        self.tasks += 1;
        let message = self.ledger.message(&format!("t{}", self.tasks));
        let repository = self.random.choose(&self.repositories).expect("a repository").path();
        let issue = self.random.choose(&self.confirmed).map_or(".", |task| task.issue.as_str());
        let all: [&[&str]; 4] =
            [&["start", ".", &message], &["continue", issue, &message], &["queue", "cancel", issue], &["status"]];
        let arguments = *self.random.choose(&all).expect("a command");
        let mut child = self.world.command(repository, arguments).spawn().unwrap();
        self.random.pause(40);
        let is_killed = matches!(child.try_wait(), Ok(None));
        child.kill().unwrap();
        child.wait().unwrap();
        eprintln!("  killed command {}: {is_killed}", arguments[0]);
        is_killed.into()
    }

    fn await_ends(&self) {
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
    fn issues(&self) -> Vec<String> {
        let all = self.world.json(["list", "--json"]);
        let open = all.as_array().unwrap().iter().filter(|run| run["destroyed"] == false);
        open.map(|run| run["issue"].as_str().unwrap().to_owned()).collect()
    }

    /// Destroys one issue while git, the daemon or the command is killed.
    fn destroy_with_kills(&mut self) -> u32 {
        let issues = self.issues();
        let Some(issue) = self.random.choose(&issues).cloned() else { return 0 };
        let mut killed = 0;
        self.git.arm(2, self.random);
        let user = self.world.home.user();
        let mut child = self.world.command(&user, ["destroy", &issue, "--discard", "--yes"]).spawn().unwrap();
        self.random.pause(150);
        if self.random.below(2) == 0 {
            killed += self.kill_process("daemon run");
        }
        if self.random.below(2) == 0 {
            self.random.pause(50);
            killed += u32::from(matches!(child.try_wait(), Ok(None)));
            child.kill().unwrap();
        }
        child.wait().unwrap();
        killed += self.git.disarm();
        eventually_within(LIMIT, "the issue to be destroyed", || {
            if !self.issues().contains(&issue) {
                return Ok(());
            }
            let again = self.world.attempt(["destroy", &issue, "--discard", "--yes"]);
            eprintln!("  destroy {issue} again: {}", shown(&again));
            Err(issue.clone())
        });
        killed
    }

    /// A lock or a damage that a killed command left would let this fail.
    fn use_every_issue_again(&self) {
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
}
