//! One round: tasks, kills, and the way back to rest.

use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::case::Case;
use super::faulty_git::FaultyGit;
use super::invariants;
use super::random::Random;
use crate::world::World;

const TASKS: u32 = 4;

pub(super) struct Round<'a> {
    case: Case,
    random: &'a mut Random,
    git: FaultyGit,
}

impl<'a> Round<'a> {
    pub(super) fn new(random: &'a mut Random) -> Self {
        let mut world = World::new();
        let git = FaultyGit::install(&mut world.home);
        let repositories = vec![world.repository("one"), world.repository("two")];
        Self { case: Case::new(world, repositories), random, git }
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
        self.case.await_ends();
        killed += self.destroy_with_kills();
        self.case.use_every_issue_again();
        invariants::check(&self.case);
        killed.max(1)
    }

    fn start(&mut self) {
        let repository = self.random.choose(&self.case.repositories).expect("a repository").path().to_owned();
        self.queue(&repository, "start", ".");
    }

    fn queue(&mut self, directory: &Path, verb: &str, reference: &str) {
        let name = self.case.next_name();
        let message = self.case.ledger.message(&name);
        self.case.queue(directory, verb, reference, name, &message);
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
                let issues: Vec<String> = self.case.confirmed.iter().map(|task| task.issue.clone()).collect();
                if let Some(issue) = self.random.choose(&issues) {
                    self.queue(&self.case.world.home.user(), "continue", issue);
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
        let processes = self.case.world.processes(word);
        let Some(pid) = self.random.choose(&processes) else { return 0 };
        // It may have ended meanwhile.
        let is_killed = kill(Pid::from_raw(*pid), Signal::SIGKILL).is_ok();
        eprintln!("  killed {word}: {is_killed}");
        is_killed.into()
    }

    /// Kills a command at a random moment. Whether it did its work is unknown.
    fn kill_command(&mut self) -> u32 {
        let name = self.case.next_name();
        let message = self.case.ledger.message(&name);
        let repository = self.random.choose(&self.case.repositories).expect("a repository").path();
        let issue = self.random.choose(&self.case.confirmed).map_or(".", |task| task.issue.as_str());
        let all: [&[&str]; 4] =
            [&["start", ".", &message], &["continue", issue, &message], &["queue", "cancel", issue], &["status"]];
        let arguments = *self.random.choose(&all).expect("a command");
        let mut child = self.case.world.command(repository, arguments).spawn().unwrap();
        self.random.pause(40);
        let is_killed = matches!(child.try_wait(), Ok(None));
        child.kill().unwrap();
        child.wait().unwrap();
        eprintln!("  killed command {}: {is_killed}", arguments[0]);
        is_killed.into()
    }

    /// Destroys one issue while git, the daemon or the command is killed.
    fn destroy_with_kills(&mut self) -> u32 {
        let issues = self.case.issues();
        let Some(issue) = self.random.choose(&issues).cloned() else { return 0 };
        let mut killed = 0;
        self.git.arm(2, self.random);
        let user = self.case.world.home.user();
        let mut child = self.case.world.command(&user, ["destroy", &issue, "--discard", "--yes"]).spawn().unwrap();
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
        self.case.destroy(&issue);
        killed
    }
}
