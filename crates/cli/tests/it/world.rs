//! Test fixture: a fresh home, the program, and repositories.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use kugetsu_testkit::wait::DEADLINE;
use kugetsu_testkit::{Home, Repository, eventually, eventually_within, scripted_agent};
use serde_json::Value;

/// A temporary home in which kugetsu runs.
pub(crate) struct World {
    pub(crate) home: Home,
    /// Time limit of every command and of every wait for a state. Only a failing test reaches it.
    pub(crate) limit: Duration,
}

impl World {
    /// With the scripted agent as the default agent, and without a sandbox: scripts reach what the test prepares.
    pub(crate) fn new() -> Self {
        let mut world = Self::bare();
        world.home.set("KUGETSU_RUN_SANDBOX", "off");
        let program = scripted_agent();
        let config = format!(
            "[agent]\ndefault = \"scripted\"\n\n[agents.scripted]\nprogram = {program:?}\nargs = [\"acp\"]\ndelete = [\"session\", \"delete\", \"{{session}}\"]\n"
        );
        std::fs::write(world.home.kugetsu().join("config.toml"), config).unwrap();
        world
    }

    /// Without any settings.
    pub(crate) fn bare() -> Self {
        Self { home: Home::new(), limit: DEADLINE }
    }

    /// A repository with one commit.
    pub(crate) fn repository(&self, name: &str) -> Repository {
        let repository = Repository::at(self.home.path().join(name));
        repository.commit_files("first", &[("README.md", "hello\n")]);
        repository
    }

    /// `kugetsu` with these arguments in a directory.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, directory: &Path, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.home.command(env!("CARGO_BIN_EXE_kugetsu"));
        command.args(args).current_dir(directory);
        command
    }

    /// Runs `kugetsu` in a directory. It may fail.
    #[track_caller]
    pub(crate) fn try_in<S: AsRef<OsStr>>(&self, directory: &Path, args: impl IntoIterator<Item = S>) -> Output {
        self.home.run_within(self.limit, &mut self.command(directory, args))
    }

    /// Runs `kugetsu` in the user's home. It may fail.
    #[track_caller]
    pub(crate) fn attempt<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Output {
        self.try_in(&self.home.user(), args)
    }

    /// Runs `kugetsu` in a directory; it must succeed. Returns stdout.
    #[track_caller]
    pub(crate) fn run_in<S: AsRef<OsStr>>(&self, directory: &Path, args: impl IntoIterator<Item = S>) -> String {
        let output = self.try_in(directory, args);
        assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs `kugetsu` in the user's home; it must succeed. Returns stdout.
    #[track_caller]
    pub(crate) fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> String {
        self.run_in(&self.home.user(), args)
    }

    /// Runs `kugetsu` in the user's home and parses its JSON.
    #[track_caller]
    pub(crate) fn json<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Value {
        let text = self.run(args);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Runs `start . MESSAGE --wait --json` in a repository. Returns the run object and the exit code.
    #[track_caller]
    pub(crate) fn start(&self, repository: &Repository, message: &str) -> (Value, i32) {
        ended(&self.try_in(repository.path(), ["start", ".", message, "--wait", "--json"]))
    }

    /// Queues a task without waiting. Returns the short reference.
    #[track_caller]
    pub(crate) fn queue(&self, repository: &Repository, message: &str) -> String {
        let text = self.run_in(repository.path(), ["start", ".", message, "--json"]);
        let object: Value = serde_json::from_str(&text).unwrap();
        object["issue"].as_str().unwrap().to_owned()
    }

    /// The latest run of an issue.
    #[track_caller]
    pub(crate) fn latest(&self, reference: &str) -> Value {
        let all = self.json(["list", "--json"]);
        all.as_array().unwrap().iter().find(|run| run["issue"] == reference).cloned().unwrap_or(Value::Null)
    }

    /// Waits until the latest run is in this state.
    #[track_caller]
    pub(crate) fn await_state(&self, reference: &str, state: &str) -> Value {
        eventually_within(self.limit, &format!("{reference} to be {state}"), || {
            let run = self.latest(reference);
            if run["state"] == state { Ok(run) } else { Err(run) }
        })
    }

    /// The text that the agent printed in an issue's runs.
    #[track_caller]
    pub(crate) fn agent_text(&self, reference: &str) -> String {
        self.records(reference, "text").iter().filter_map(|record| record["text"].as_str()).collect()
    }

    /// The records of one type in an issue's transcript.
    #[track_caller]
    pub(crate) fn records(&self, reference: &str, kind: &str) -> Vec<Value> {
        let lines = self.run(["logs", reference, "--json"]);
        let records = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        records.filter(|record| record["type"] == kind).collect()
    }

    /// The daemon's pid.
    #[track_caller]
    pub(crate) fn daemon(&self) -> i32 {
        i32::try_from(self.json(["daemon", "status", "--json"])["pid"].as_i64().unwrap()).unwrap()
    }

    /// Kills the daemon with SIGKILL and waits until it is gone.
    #[track_caller]
    pub(crate) fn kill_daemon(&self) {
        kill(self.daemon());
    }

    /// Pids of processes whose command line contains a word. A forked child has its parent's command line until it execs;
    /// it is not counted.
    pub(crate) fn processes(&self, word: &str) -> Vec<i32> {
        let all = self.home.processes().into_iter();
        let found: Vec<i32> = all.filter(|process| process.command.contains(word)).map(|process| process.pid).collect();
        found.iter().copied().filter(|pid| parent(*pid).is_none_or(|parent| !found.contains(&parent))).collect()
    }

    /// Releases agents that wait for the gate `go`.
    pub(crate) fn release_agents(&self) {
        open_gate(&self.home.user().join(".local/share"));
    }

    /// Releases the coordinator's agent, which keeps its state elsewhere.
    pub(crate) fn release_coordinator(&self) {
        open_gate(&self.home.kugetsu().join("pm/agent/data"));
    }

    #[track_caller]
    pub(crate) fn worktree(&self, reference: &str) -> PathBuf {
        PathBuf::from(self.latest(reference)["worktree"].as_str().expect("a worktree"))
    }
}

fn open_gate(data: &Path) {
    let gates = data.join("kugetsu-scripted-agent/gates");
    std::fs::create_dir_all(&gates).unwrap();
    std::fs::write(gates.join("go"), "").unwrap();
}

/// Changes one row of the database directly.
pub(crate) fn tamper(database: &Path, statement: &'static str) {
    let connection = rusqlite::Connection::open(database).unwrap();
    connection.pragma_update(None, "foreign_keys", false).unwrap();
    assert_eq!(connection.execute(statement, []).unwrap(), 1, "{statement}");
    connection.close().unwrap();
}

/// Blocks all writes to a database until it is dropped.
pub(crate) fn hold(database: &Path) -> rusqlite::Connection {
    let connection = rusqlite::Connection::open(database).unwrap();
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    connection
}

/// Sends SIGKILL and waits until the process is gone.
#[track_caller]
pub(crate) fn kill(pid: i32) {
    let pid = nix::unistd::Pid::from_raw(pid);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    eventually("the killed process to be gone", || if is_alive(pid.as_raw()) { Err("alive") } else { Ok(()) });
}

/// Whether a process exists and is not a zombie.
pub(crate) fn is_alive(pid: i32) -> bool {
    stat(pid).is_some_and(|fields| !fields.starts_with(['Z', 'X']))
}

/// The pid of the parent.
fn parent(pid: i32) -> Option<i32> {
    stat(pid)?.split(' ').nth(1)?.parse().ok()
}

/// The fields of /proc/PID/stat from the state on.
fn stat(pid: i32) -> Option<String> {
    let line = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it can contain anything, even parentheses.
    line.rsplit(')').next().map(|fields| fields.trim_start().to_owned())
}

/// The run object that `--wait --json` printed, and the exit code.
#[track_caller]
pub(crate) fn ended(output: &Output) -> (Value, i32) {
    let text = String::from_utf8_lossy(&output.stdout);
    let object = serde_json::from_str(text.trim()).unwrap_or_else(|error| panic!("{error}\n{}", shown(output)));
    (object, output.status.code().unwrap_or(-1))
}

/// A program's output, for assertion messages.
pub(crate) fn shown(output: &Output) -> String {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{}\nstdout: {stdout}\nstderr: {stderr}", output.status)
}

/// A message that makes the scripted agent execute these steps.
pub(crate) fn script(steps: &[&str]) -> String {
    let lines: Vec<String> = steps.iter().map(|step| format!("kugetsu-script: {step}")).collect();
    format!("do the job\n{}", lines.join("\n"))
}

/// A message with steps for the coordinator's agent.
pub(crate) fn coordinator_message(text: &str, steps: &[Value]) -> String {
    format!("{text}\nkugetsu-script: {}", Value::from(steps))
}
