//! The throwaway home of a demo, its programs, and how its steps are shown.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::agents::OPENCODE;
use crate::programs::{SystemPackages, on_path};
use crate::steps::{Outcome, shell_line};
use crate::workspace::{cargo, target};

/// Limit for the daemon to answer.
const DAEMON_TIMEOUT: Duration = Duration::from_secs(20);

pub(super) struct Demo {
    pub(super) home: PathBuf,
    pub(super) repository: PathBuf,
    kugetsu: PathBuf,
}

pub(super) enum Agent {
    /// The program.
    Opencode(PathBuf),
    /// The scripted agent's program.
    Scripted(PathBuf),
}

/// Builds the programs that a demo needs.
pub(super) fn build() -> Outcome {
    say("building kugetsu (the first build takes several minutes)");
    let mut build = cargo(["build", "--package", "kugetsu", "--package", "kugetsu-testkit", "--bins"]);
    run_to_end("the build", &mut build)
}

impl Demo {
    /// Creates a fresh home below `target`.
    pub(super) fn new() -> Result<Self, String> {
        let home = target().join("demo");
        let kugetsu = target().join("debug/kugetsu");
        let stage = Self { repository: home.join("demo"), home, kugetsu };
        if stage.home.exists() {
            // An interrupted demo may have left its daemon running.
            let _ = stage.kugetsu(["daemon", "stop"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
            fs::remove_dir_all(&stage.home).map_err(|error| format!("{}: {error}", stage.home.display()))?;
        }
        for directory in ["user", "tmp", "demo"] {
            create_directory(&stage.home.join(directory))?;
        }
        Ok(stage)
    }

    pub(super) fn agent(&self) -> Agent {
        if let Some(program) = on_path("opencode") {
            say(&format!("the agent is the opencode on PATH: {}", program.display()));
            return Agent::Opencode(program);
        }
        say(&format!(
            "opencode is not on PATH; installing version {} below {}",
            OPENCODE.version,
            target().join("agents").display()
        ));
        match OPENCODE.provide(SystemPackages::Leave) {
            Ok(program) => Agent::Opencode(program),
            Err(error) => {
                say(&format!("opencode is not available ({error}); using the scripted agent of the tests"));
                Agent::Scripted(target().join("debug/kugetsu-scripted-agent"))
            }
        }
    }

    /// Starts the model, which answers a message without a script like this.
    pub(super) fn start_model(&self, answer: &str) -> Result<Model, String> {
        say("the model is a scripted one on this machine: no account is needed and nothing is sent over the network");
        let mut command = Command::new(target().join("debug/kugetsu-scripted-model"));
        command.arg(answer).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("could not start the scripted model: {error}"))?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("no stdout")?).lines();
        let variables = variables(&mut lines)?;
        Ok(Model { _child: Background(child), variables })
    }

    /// Creates the home, with further settings.
    pub(super) fn set_up(&self, agent: &Agent, model: &Model, settings: &str) -> Outcome {
        say(&format!("a fresh home: KUGETSU_HOME={}", self.home.join("kugetsu").display()));
        let mut config = String::new();
        match agent {
            Agent::Opencode(program) => {
                let bin = self.home.join("bin");
                create_directory(&bin)?;
                std::os::unix::fs::symlink(program, bin.join("opencode")).map_err(|error| error.to_string())?;
            }
            Agent::Scripted(program) => {
                config = format!(
                    "[agent]\ndefault = \"scripted\"\n\n[agents.scripted]\nprogram = {program:?}\nargs = [\"acp\"]\n"
                );
            }
        }
        run_to_end("kugetsu init", self.kugetsu(["init"]).stdout(Stdio::null()))?;
        config.push_str(settings);
        if !config.is_empty() {
            write(&self.home.join("kugetsu/config.toml"), &config)?;
        }
        for (name, value) in &model.variables {
            run_to_end("kugetsu env set", self.kugetsu(["env", "set", name, value]).stdout(Stdio::null()))?;
        }
        write(
            &self.home.join("user/.gitconfig"),
            "[user]\n\tname = Demo Person\n\temail = demo@example.invalid\n[init]\n\tdefaultBranch = main\n",
        )
    }

    pub(super) fn create_repository(&self, files: &[(&str, &str)]) -> Outcome {
        say(&format!("a repository with a bug: {}", self.repository.display()));
        run_to_end("git init", self.git(["init", "-q", "-b", "main"]).stdout(Stdio::null()))?;
        for (name, content) in files {
            write(&self.repository.join(name), content)?;
        }
        run_to_end("git add", &mut self.git(["add", "-A"]))?;
        run_to_end("git commit", &mut self.git(["commit", "-qm", "A greeting"]))
    }

    /// Starts the daemon as a child, so that it ends with the demo. Usually the first command starts it.
    pub(super) fn start_daemon(&self) -> Result<Background, String> {
        let log = fs::File::create(self.home.join("daemon.log")).map_err(|error| error.to_string())?;
        let mut command = self.kugetsu(["daemon", "run"]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        let mut daemon = Background(child.map_err(|error| format!("could not start the daemon: {error}"))?);
        let deadline = Instant::now() + DAEMON_TIMEOUT;
        while Instant::now() < deadline {
            let mut status = self.kugetsu(["daemon", "status"]);
            if status.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
                return Ok(daemon);
            }
            if daemon.0.try_wait().is_ok_and(|ended| ended.is_some()) {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let log = fs::read_to_string(self.home.join("daemon.log")).unwrap_or_default();
        Err(format!("the daemon does not answer; its log:\n{log}"))
    }

    pub(super) fn kugetsu<const N: usize>(&self, args: [&str; N]) -> Command {
        let mut command = self.command(&self.kugetsu);
        command.args(args);
        command
    }

    pub(super) fn git<const N: usize>(&self, args: [&str; N]) -> Command {
        let mut command = self.command(Path::new("git"));
        command.args(["--no-pager"]).args(args);
        command
    }

    /// A command in the demo's home. It inherits only `PATH` and the terminal's variables.
    fn command(&self, program: &Path) -> Command {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let paths = std::iter::once(self.home.join("bin")).chain(std::env::split_paths(&path));
        let user = self.home.join("user");
        let mut command = Command::new(program);
        command.env_clear().env("PATH", std::env::join_paths(paths).unwrap_or(path)).env("HOME", &user);
        for name in ["TERM", "LANG", "NO_COLOR", "COLUMNS"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.env("TMPDIR", self.home.join("tmp")).env("KUGETSU_HOME", self.home.join("kugetsu"));
        if self.repository.is_dir() {
            command.current_dir(&self.repository);
        }
        command
    }

    pub(super) fn show(&self, mut command: Command) -> Outcome {
        let output = command.output().map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(format!(
                "`{}` failed: {}",
                shell_line(&command),
                String::from_utf8_lossy(&output.stderr).trim()
            ));
        }
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            println!("    {line}");
        }
        Ok(())
    }
}

pub(super) struct Model {
    _child: Background,
    variables: Vec<(String, String)>,
}

/// A child process that is killed on drop.
pub(super) struct Background(pub(super) Child);

impl Background {
    pub(super) fn stop(&mut self) {
        // Fails only if it has already ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop();
    }
}

pub(super) fn say(line: &str) {
    println!("\n==> {line}");
}

pub(super) fn run_to_end(what: &str, command: &mut Command) -> Outcome {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{what} failed ({status}): {}", shell_line(command))),
        Err(error) => Err(format!("{what} failed: {error}")),
    }
}

/// Reads lines such as `NAME=value` up to an empty one.
pub(super) fn variables(
    lines: &mut impl Iterator<Item = std::io::Result<String>>,
) -> Result<Vec<(String, String)>, String> {
    let mut variables = Vec::new();
    for line in lines {
        let line = line.map_err(|error| error.to_string())?;
        match line.split_once('=') {
            Some((name, value)) => variables.push((name.to_owned(), value.to_owned())),
            None => break,
        }
    }
    Ok(variables)
}

fn create_directory(directory: &Path) -> Outcome {
    fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))
}

fn write(path: &Path, content: &str) -> Outcome {
    fs::write(path, content).map_err(|error| format!("{}: {error}", path.display()))
}
