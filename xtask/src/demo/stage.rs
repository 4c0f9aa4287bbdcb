//! `cargo xtask demo`: kugetsu end to end in a throwaway home: a task goes in, a pushed branch comes out.
//!
//! The agent is the opencode on `PATH`, or the pinned version, installed below `target`. Its model is scripted, so no
//! account is needed. If opencode is not available, the scripted agent of the tests replaces it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::agents::OPENCODE;
use crate::programs::{SystemPackages, on_path};
use crate::steps::{Outcome, shell_line};
use crate::workspace::{cargo, target};

/// The task for the agent. [`SCRIPT`] is the model's part in it.
const TASK: &str = "The greeting ignores the name: make test.sh pass";

/// The scripted model runs the test, fixes the bug and commits.
const SCRIPT: &str = r#"[
    {"tools": {"say": "Running the test first.", "calls": [{"bash": {"command": "sh test.sh; cat greet.sh", "description": "Run the test"}}]}},
    {"edit": {"path": "greet.sh", "old": "hello, $2", "new": "hello, $1"}},
    {"bash": {"command": "sh test.sh && git add -A && git commit -qm 'Greet the given name' && git log --oneline", "description": "Check and commit"}},
    {"say": "greet.sh took the name from its second argument. It uses the first one now, and test.sh passes."}
]"#;

/// The message for the coordinator.
const REQUEST: &str = "end the greeting of ~/demo with a full stop";

/// The model's part in the task that the coordinator starts.
const FULL_STOP: &str = r#"[{"edit": {"path": "greet.sh", "old": "hello, $2", "new": "hello, $2."}},
    {"bash": {"command": "git commit -qam 'End the greeting with a full stop'", "description": "Commit"}},
    {"say": "It ends with a full stop."}]"#;

/// The coordinator's report when the task has ended.
const REPORT: &str =
    "The greeting ends with a full stop. The change is pushed to the branch of local/demo#2; nothing is left to do.";

/// The files of the demo's repository.
const FILES: &[(&str, &str)] = &[
    ("README.md", "# demo\n\n`greet.sh NAME` prints a greeting. `test.sh` checks it.\n"),
    ("greet.sh", "echo \"hello, $2\"\n"),
    ("test.sh", "[ \"$(sh greet.sh world)\" = \"hello, world\" ] && echo passed || { echo FAILED; exit 1; }\n"),
];

/// Limit for the daemon to answer.
const DAEMON_TIMEOUT: Duration = Duration::from_secs(20);

pub(crate) fn run() -> Outcome {
    let started = Instant::now();
    say("building kugetsu (the first build takes several minutes)");
    let mut build = cargo(["build", "--package", "kugetsu", "--package", "kugetsu-testkit", "--bins"]);
    run_to_end("the build", &mut build)?;
    let stage = Demo::new()?;
    let agent = stage.agent();
    let model = stage.start_model()?;
    stage.set_up(&agent, &model)?;
    let mut daemon = stage.start_daemon()?;
    let result = play(&stage);
    daemon.stop();
    result?;
    say(&format!("finished in {:.1} s; all files are below {}", started.elapsed().as_secs_f64(), stage.home.display()));
    Ok(())
}

fn play(stage: &Demo) -> Outcome {
    let message = format!("{TASK}\nkugetsu-script: {}", one_line(SCRIPT));
    say("a task goes in");
    println!("    $ kugetsu start . \"{TASK}\" --wait");
    let mut start = stage.kugetsu(["start", ".", &message, "--wait"]);
    run_to_end("kugetsu start", &mut start)?;

    say("a branch comes out");
    stage.show(stage.git(["log", "--oneline", "--graph", "--all"]))?;
    say("the diff");
    stage.show(stage.git(["diff", "main...kugetsu/1-the-greeting-ignores-the-name-make-test"]))?;
    say("the end of the transcript");
    let logs = stage.kugetsu(["logs", "local/demo#1"]).output().map_err(|error| error.to_string())?;
    let logs = String::from_utf8_lossy(&logs.stdout).into_owned();
    let lines: Vec<&str> = logs.lines().collect();
    for line in &lines[lines.len().saturating_sub(24)..] {
        println!("    {line}");
    }
    say("a message for the coordinator, which starts a task with kugetsu's tools and reports the result");
    println!("    $ kugetsu delegate \"{REQUEST}\" --wait");
    let mut delegate = stage.kugetsu(["delegate", &stage.request(), "--wait"]);
    run_to_end("kugetsu delegate", &mut delegate)?;
    say("the issues now");
    stage.show(stage.kugetsu(["list"]))
}

fn one_line(json: &str) -> String {
    json.split_whitespace().collect::<Vec<_>>().join(" ")
}

struct Demo {
    home: PathBuf,
    repository: PathBuf,
    kugetsu: PathBuf,
}

enum Agent {
    /// The program.
    Opencode(PathBuf),
    /// The scripted agent's program.
    Scripted(PathBuf),
}

impl Demo {
    /// Creates a fresh home below `target`.
    fn new() -> Result<Self, String> {
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

    /// The message for the coordinator with the script of its model.
    fn request(&self) -> String {
        let message = format!("End the greeting with a full stop\nkugetsu-script: {}", one_line(FULL_STOP));
        let arguments = serde_json::json!({"issue": self.repository, "message": message});
        let script = serde_json::json!([
            {"call": {"tool": "kugetsu_start", "arguments": arguments}},
            {"say": "I started the task and will report when it has ended."},
        ]);
        format!("{REQUEST}\nkugetsu-script: {script}")
    }

    fn agent(&self) -> Agent {
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

    fn start_model(&self) -> Result<Model, String> {
        say("the model is a scripted one on this machine: no account is needed and nothing is sent over the network");
        let mut command = Command::new(target().join("debug/kugetsu-scripted-model"));
        command.arg(REPORT).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("could not start the scripted model: {error}"))?;
        let mut variables = Vec::new();
        for line in BufReader::new(child.stdout.take().ok_or("no stdout")?).lines() {
            let line = line.map_err(|error| error.to_string())?;
            match line.split_once('=') {
                Some((name, value)) => variables.push((name.to_owned(), value.to_owned())),
                None => break,
            }
        }
        Ok(Model { _child: Background(child), variables })
    }

    fn set_up(&self, agent: &Agent, model: &Model) -> Outcome {
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
        if !config.is_empty() {
            write(&self.home.join("kugetsu/config.toml"), &config)?;
        }
        for (name, value) in &model.variables {
            run_to_end("kugetsu env set", self.kugetsu(["env", "set", name, value]).stdout(Stdio::null()))?;
        }
        say(&format!("a repository with a bug: {}", self.repository.display()));
        write(
            &self.home.join("user/.gitconfig"),
            "[user]\n\tname = Demo Person\n\temail = demo@example.invalid\n[init]\n\tdefaultBranch = main\n",
        )?;
        run_to_end("git init", self.git(["init", "-q", "-b", "main"]).stdout(Stdio::null()))?;
        for (name, content) in FILES {
            write(&self.repository.join(name), content)?;
        }
        run_to_end("git add", &mut self.git(["add", "-A"]))?;
        run_to_end("git commit", &mut self.git(["commit", "-qm", "A greeting"]))
    }

    /// Starts the daemon as a child, so that it ends with the demo. Usually the first command starts it.
    fn start_daemon(&self) -> Result<Background, String> {
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

    fn kugetsu<const N: usize>(&self, args: [&str; N]) -> Command {
        let mut command = self.command(&self.kugetsu);
        command.args(args);
        command
    }

    fn git<const N: usize>(&self, args: [&str; N]) -> Command {
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

    fn show(&self, mut command: Command) -> Outcome {
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

struct Model {
    _child: Background,
    variables: Vec<(String, String)>,
}

/// A child process that is killed on drop.
struct Background(Child);

impl Background {
    fn stop(&mut self) {
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

fn say(line: &str) {
    println!("\n==> {line}");
}

fn run_to_end(what: &str, command: &mut Command) -> Outcome {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{what} failed ({status}): {}", shell_line(command))),
        Err(error) => Err(format!("{what} failed: {error}")),
    }
}

fn create_directory(directory: &Path) -> Outcome {
    fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))
}

fn write(path: &Path, content: &str) -> Outcome {
    fs::write(path, content).map_err(|error| format!("{}: {error}", path.display()))
}
