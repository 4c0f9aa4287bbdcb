//! A fresh home with a running daemon, and commands in it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kugetsu_testkit::{Home, Repository, eventually, scripted_agent};

pub(crate) struct Setup {
    pub(crate) home: Home,
    pub(crate) repository: Repository,
}

impl Setup {
    pub(crate) fn new() -> Self {
        let home = Home::new();
        let config = format!(
            "[agent]\ndefault = \"scripted\"\n\n[agents.scripted]\nprogram = {:?}\nargs = [\"acp\"]\n",
            scripted_agent()
        );
        std::fs::write(home.kugetsu().join("config.toml"), config).unwrap();
        let repository = Repository::at(home.path().join("demo"));
        repository.commit_files("first", &[("README.md", "hello\n")]);
        // Any number of issues on a server whose repository is a local directory, so that no network is needed.
        let text = format!("{{\"acme/api\": {:?}}}", repository.path());
        std::fs::write(home.kugetsu().join("repos.json"), text).unwrap();
        let setup = Self { home, repository };
        setup.run(&["status"]);
        setup
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

    /// Waits until all runs have ended.
    pub(crate) fn await_no_run(&self) {
        eventually("the end of all runs", || {
            self.home.processes().iter().all(|process| !process.command.contains(" runner ")).then_some(())
        });
    }

    /// Id of the process whose command line contains `text`.
    pub(crate) fn process(&self, text: &str) -> i32 {
        eventually(&format!("a process {text:?}"), || {
            self.home.processes().into_iter().find(|process| process.command.contains(text)).map(|process| process.pid)
        })
    }
}

/// The duration of a command from before its start to its end.
pub(crate) fn timed(command: &mut Command) -> Duration {
    let started = Instant::now();
    assert!(command.status().unwrap().success(), "{command:?}");
    started.elapsed()
}

pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
