//! `cargo xtask demo`: the main job, for real, in a throw-away home: an issue in, a pushed branch out.
//!
//! The agent is opencode (the one on PATH, or the pinned one, installed below `target`); its model is a scripted one, so
//! no account is needed. Where opencode cannot be had the scripted agent takes its place, and the demo says so.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::agents::{self, System};
use crate::root::{cargo, target};
use crate::step::{Answer, typed};

/// What the agent is asked. The script behind it is what the scripted model answers.
const TASK: &str = "The greeting greets nobody: make test.sh pass";

/// The script of the model: it looks, finds the fault, corrects it, and checks.
const SCRIPT: &str = r#"[
    {"tools": {"say": "I run the test first.", "calls": [{"bash": {"command": "sh test.sh; cat greet.sh", "description": "Run the test"}}]}},
    {"edit": {"path": "greet.sh", "old": "hello, $2", "new": "hello, $1"}},
    {"bash": {"command": "sh test.sh && git add -A && git commit -qm 'Greet the one who is named' && git log --oneline", "description": "Check and commit"}},
    {"say": "The greeting took the second argument for the name. It takes the first one now, and test.sh passes."}
]"#;

/// What the coordinator is asked.
const WISH: &str = "the greeting of ~/demo ends with a point";

/// What the agent does that the coordinator sends.
const POINT: &str = r#"[{"edit": {"path": "greet.sh", "old": "hello, $2", "new": "hello, $2."}},
    {"bash": {"command": "git commit -qam 'End the greeting with a point'", "description": "Commit"}},
    {"say": "It ends with a point."}]"#;

/// What the coordinator says once it is told how the work ended.
const REPORT: &str =
    "The greeting ends with a point now. It is pushed to the branch of local/demo#2; nothing is left open.";

/// What the demo's repository holds.
const FILES: &[(&str, &str)] = &[
    ("README.md", "# demo\n\n`greet.sh NAME` greets. `test.sh` checks it.\n"),
    ("greet.sh", "echo \"hello, $2\"\n"),
    ("test.sh", "[ \"$(sh greet.sh world)\" = \"hello, world\" ] && echo passed || { echo FAILED; exit 1; }\n"),
];

/// How long the daemon may take to listen.
const DAEMON_TIME: Duration = Duration::from_secs(20);

pub(crate) fn run() -> Answer {
    let begun = Instant::now();
    say("building kugetsu (the first time takes some minutes)");
    let mut build = cargo(["build", "--package", "kugetsu", "--package", "kugetsu-testkit", "--bins"]);
    finish("the build", &mut build)?;
    let stage = Stage::new()?;
    let agent = stage.agent();
    let model = stage.start_model()?;
    stage.set_up(&agent, &model)?;
    let mut daemon = stage.start_daemon()?;
    let played = play(&stage);
    daemon.end();
    played?;
    say(&format!(
        "that was the main job, in {:.1} s; everything of it is below {}",
        begun.elapsed().as_secs_f64(),
        stage.home.display()
    ));
    Ok(())
}

fn play(stage: &Stage) -> Answer {
    let message = format!("{TASK}\nkugetsu-script: {}", one_line(SCRIPT));
    say("the job: an issue goes in");
    println!("    $ kugetsu start . \"{TASK}\" --wait");
    let mut start = stage.kugetsu(["start", ".", &message, "--wait"]);
    finish("the run", &mut start)?;

    say("what came out: a branch in the repository");
    stage.show(stage.git(["log", "--oneline", "--graph", "--all"]))?;
    say("the diff");
    stage.show(stage.git(["diff", "main...kugetsu/1-the-greeting-greets-nobody-make-test-sh"]))?;
    say("the end of the transcript");
    let logs = stage.kugetsu(["logs", "local/demo#1"]).output().map_err(|error| error.to_string())?;
    let logs = String::from_utf8_lossy(&logs.stdout).into_owned();
    let lines: Vec<&str> = logs.lines().collect();
    for line in &lines[lines.len().saturating_sub(24)..] {
        println!("    {line}");
    }
    say("a message for the coordinator: it begins the work by kugetsu's own tools, and reports");
    println!("    $ kugetsu delegate \"{WISH}\" --wait");
    let mut delegate = stage.kugetsu(["delegate", &stage.wish(), "--wait"]);
    finish("the coordinator", &mut delegate)?;
    say("and what there is now");
    stage.show(stage.kugetsu(["list"]))
}

/// JSON in one line.
fn one_line(json: &str) -> String {
    json.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Where the demo plays.
struct Stage {
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

impl Stage {
    /// A fresh one, below `target`.
    fn new() -> Result<Self, String> {
        let home = target().join("demo");
        let kugetsu = target().join("debug/kugetsu");
        let stage = Self { repository: home.join("demo"), home, kugetsu };
        if stage.home.exists() {
            // A demo that was broken off may have left its daemon.
            let _ = stage.kugetsu(["daemon", "stop"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
            fs::remove_dir_all(&stage.home).map_err(|error| format!("{}: {error}", stage.home.display()))?;
        }
        for directory in ["user", "tmp", "demo"] {
            make(&stage.home.join(directory))?;
        }
        Ok(stage)
    }

    /// The wish, with what the scripted model of the coordinator does about it.
    fn wish(&self) -> String {
        let message = format!("End the greeting with a point\nkugetsu-script: {}", one_line(POINT));
        let arguments = serde_json::json!({"issue": self.repository, "message": message});
        let script = serde_json::json!([
            {"call": {"tool": "kugetsu_start", "arguments": arguments}},
            {"say": "I began the work. You hear of it when it has ended."},
        ]);
        format!("{WISH}\nkugetsu-script: {script}")
    }

    fn agent(&self) -> Agent {
        if let Some(found) = agents::on_path("opencode") {
            say(&format!("the agent is the opencode on PATH: {}", found.display()));
            return Agent::Opencode(found);
        }
        say(&format!(
            "there is no opencode on PATH; installing version {} below {}",
            agents::VERSION,
            target().join("agents").display()
        ));
        match agents::opencode(System::Keep) {
            Ok(program) => Agent::Opencode(program),
            Err(why) => {
                say(&format!("opencode cannot be had ({why}), so the agent is a scripted one, made for tests"));
                Agent::Scripted(target().join("debug/kugetsu-scripted-agent"))
            }
        }
    }

    fn start_model(&self) -> Result<Model, String> {
        say("the model is a scripted one on this machine: no account is needed, and nothing leaves it");
        let mut command = Command::new(target().join("debug/kugetsu-scripted-model"));
        command.arg(REPORT).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("the scripted model does not start: {error}"))?;
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

    fn set_up(&self, agent: &Agent, model: &Model) -> Answer {
        say(&format!("a fresh home: KUGETSU_HOME={}", self.home.join("kugetsu").display()));
        let mut config = String::new();
        match agent {
            Agent::Opencode(program) => {
                let bin = self.home.join("bin");
                make(&bin)?;
                std::os::unix::fs::symlink(program, bin.join("opencode")).map_err(|error| error.to_string())?;
            }
            Agent::Scripted(program) => {
                config = format!(
                    "[agent]\ndefault = \"scripted\"\n\n[agents.scripted]\nprogram = {program:?}\nargs = [\"acp\"]\n"
                );
            }
        }
        finish("kugetsu init", self.kugetsu(["init"]).stdout(Stdio::null()))?;
        if !config.is_empty() {
            write(&self.home.join("kugetsu/config.toml"), &config)?;
        }
        for (name, value) in &model.variables {
            finish("kugetsu env set", self.kugetsu(["env", "set", name, value]).stdout(Stdio::null()))?;
        }
        say(&format!("a repository with a fault in it: {}", self.repository.display()));
        write(
            &self.home.join("user/.gitconfig"),
            "[user]\n\tname = Demo Person\n\temail = demo@example.invalid\n[init]\n\tdefaultBranch = main\n",
        )?;
        finish("git init", self.git(["init", "-q", "-b", "main"]).stdout(Stdio::null()))?;
        for (name, content) in FILES {
            write(&self.repository.join(name), content)?;
        }
        finish("git add", &mut self.git(["add", "-A"]))?;
        finish("git commit", &mut self.git(["commit", "-qm", "A greeting"]))
    }

    /// As a child of ours, so that it ends with us; a user's is started by itself.
    fn start_daemon(&self) -> Result<Background, String> {
        let log = fs::File::create(self.home.join("daemon.log")).map_err(|error| error.to_string())?;
        let mut command = self.kugetsu(["daemon", "run"]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        let mut daemon = Background(child.map_err(|error| format!("the daemon does not start: {error}"))?);
        let until = Instant::now() + DAEMON_TIME;
        while Instant::now() < until {
            let mut asked = self.kugetsu(["daemon", "status"]);
            if asked.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
                return Ok(daemon);
            }
            if daemon.0.try_wait().is_ok_and(|ended| ended.is_some()) {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let log = fs::read_to_string(self.home.join("daemon.log")).unwrap_or_default();
        Err(format!("the daemon does not come up:\n{log}"))
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

    /// In the demo's own home; of the user's environment only PATH and the terminal are taken over.
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

    fn show(&self, mut command: Command) -> Answer {
        let output = command.output().map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(format!("`{}` failed: {}", typed(&command), String::from_utf8_lossy(&output.stderr).trim()));
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

/// A child that ends with us.
struct Background(Child);

impl Background {
    fn end(&mut self) {
        // It has ended already, then: that is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.end();
    }
}

fn say(what: &str) {
    println!("\n==> {what}");
}

fn finish(what: &str, command: &mut Command) -> Answer {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{what} failed ({status}): {}", typed(command))),
        Err(error) => Err(format!("{what} failed: {error}")),
    }
}

fn make(directory: &Path) -> Answer {
    fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))
}

fn write(path: &Path, content: &str) -> Answer {
    fs::write(path, content).map_err(|error| format!("{}: {error}", path.display()))
}
