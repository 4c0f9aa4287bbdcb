//! A fresh home with a daemon in it, and the words to drive it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kugetsu_testkit::{Home, Repository, eventually, scripted_agent};

/// A machine with kugetsu on it.
pub(crate) struct Stage {
    pub(crate) home: Home,
    pub(crate) repository: Repository,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let home = Home::new();
        let config = format!(
            "[agent]\ndefault = \"scripted\"\n\n[agents.scripted]\nprogram = {:?}\nargs = [\"acp\"]\n",
            scripted_agent()
        );
        std::fs::write(home.kugetsu().join("config.toml"), config).unwrap();
        let repository = Repository::at(home.path().join("demo"));
        repository.commit_files("first", &[("README.md", "hello\n")]);
        // Issues of a server whose repository is a directory here: any number of them, and no network.
        let text = format!("{{\"acme/api\": {:?}}}", repository.path());
        std::fs::write(home.kugetsu().join("repos.json"), text).unwrap();
        let stage = Self { home, repository };
        stage.run(&["status"]);
        stage
    }

    pub(crate) fn program() -> &'static Path {
        Path::new(env!("CARGO_BIN_EXE_kugetsu"))
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.home.command(Self::program());
        command
            .args(args)
            .current_dir(self.repository.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) {
        let status = self.command(args).status().unwrap();
        assert!(status.success(), "kugetsu {args:?}: {status}");
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.home.kugetsu().join("daemon.sock")
    }

    /// Waits until no run goes on.
    pub(crate) fn await_no_run(&self) {
        eventually("all runs to be over", || {
            self.home.processes().iter().all(|process| !process.command.contains(" runner ")).then_some(())
        });
    }

    /// The process whose command line holds a word.
    pub(crate) fn process(&self, word: &str) -> i32 {
        eventually(&format!("a process {word:?}"), || {
            self.home.processes().into_iter().find(|process| process.command.contains(word)).map(|process| process.pid)
        })
    }
}

/// How long a command takes from before it is started until it has ended.
pub(crate) fn timed(command: &mut Command) -> Duration {
    let begun = Instant::now();
    assert!(command.status().unwrap().success(), "{command:?}");
    begun.elapsed()
}

/// The middle one.
pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
