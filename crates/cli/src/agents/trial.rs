//! A self-test of an agent: two small changes in a scratch repository, by the program itself in a scratch home below the
//! temporary directory. Nothing of the user's is changed, except that the agent keeps its session if it cannot delete it.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kugetsu_agent::Profile;
use kugetsu_api::home::Home;
use kugetsu_process::OneShot;
use serde::Serialize;
use serde_json::Value;
use tempfile::TempDir;

use crate::env_files;

/// Longest time of one of the two turns. Most agents take ten to thirty seconds.
const TURN_MAX: Duration = Duration::from_secs(120);
/// Time in which a command that works ends itself.
const COMMAND_MAX: Duration = Duration::from_secs(180);
/// How long a canceled run may take to end, and how long processes may outlive the daemon that is stopped.
const END_MAX: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);

/// The name of the step that continues the session.
const CONTINUES: &str = "continues";
const REPOSITORY: &str = "kugetsu-try";
const ISSUE: &str = "local/kugetsu-try#1";
const FILE: &str = "kugetsu-try.txt";
const FIRST_LINE: &str = "the first line";
const SECOND_LINE: &str = "the second line";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    Ok,
    Failed,
    /// A fact that is neither good nor bad, such as tokens that the agent does not report.
    Unknown,
}

#[derive(Debug, Serialize)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) outcome: Outcome,
    pub(crate) detail: String,
}

/// A scratch home and repository.
pub(crate) struct Trial {
    directory: TempDir,
    agent: String,
    model: Option<String>,
}

impl Trial {
    /// Copies the settings and the env files that the agent's runs get.
    pub(crate) fn new(user: &Home, profile: &Profile, model: Option<String>) -> io::Result<Self> {
        // The path of a socket in it must be short.
        let directory = tempfile::Builder::new().prefix("kugetsu-try-").tempdir()?;
        let trial = Self { directory, agent: profile.name().to_owned(), model };
        let home = Home::new(trial.home());
        fs::create_dir_all(home.env())?;
        copy_if_exists(&user.config(), &home.config())?;
        copy_if_exists(&user.base_context(), &home.base_context())?;
        for name in [env_files::DEFAULT, profile.name()] {
            let file = format!("{name}.env");
            copy_if_exists(&user.env().join(&file), &home.env().join(&file))?;
        }
        Ok(trial)
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    fn home(&self) -> PathBuf {
        self.path().join("home")
    }

    fn repository(&self) -> PathBuf {
        self.path().join(REPOSITORY)
    }

    /// Makes both changes and judges them, and reports each step when its result is known. Ends early if the agent does not work
    /// at all.
    pub(crate) async fn run(&self, profile: &Profile, report: impl Fn(Step)) {
        if let Err(why) = self.create_repository().await {
            return report(failed("repository", why));
        }
        let message = format!(
            "Create the file {FILE} with exactly this line: {FIRST_LINE}\nThen commit it with git. Do nothing else."
        );
        let mut arguments = vec!["start", ".", &message, "--agent", &self.agent];
        if let Some(model) = &self.model {
            arguments.extend(["--model", model]);
        }
        let first = match self.task(&arguments).await {
            Ok(run) => run,
            Err(why) => return report(failed("starts", why)),
        };
        let Some(session) = first["session_id"].as_str() else { return report(failed("session", reason(&first))) };
        report(ok("session", session.to_owned()));
        report(ended("answers", &first));
        let text = self.committed(&first).await;
        report(match &text {
            Ok(text) if text.trim() == FIRST_LINE => ok("commits", format!("{FILE} is on the branch")),
            Ok(text) => failed("commits", format!("{FILE} contains {text:?}, not {FIRST_LINE:?}")),
            Err(why) => failed("commits", why.clone()),
        });
        report(match &text {
            Ok(_) => self.continues(profile, &first).await,
            Err(_) => Step {
                name: CONTINUES,
                outcome: Outcome::Unknown,
                detail: "not tested: there is no commit to add to".to_owned(),
            },
        });
        usage(profile, &first).into_iter().for_each(report);
    }

    async fn continues(&self, profile: &Profile, first: &Value) -> Step {
        let name = CONTINUES;
        let message = format!("Add this line to the end of {FILE}, and commit it: {SECOND_LINE}");
        let second = match self.task(&["continue", ISSUE, &message]).await {
            Ok(run) => run,
            Err(why) => return failed(name, why),
        };
        if second["state"] != "done" {
            return failed(name, reason(&second));
        }
        if second["session_id"] != first["session_id"] {
            let advice = match profile.is_built_in() {
                true => "",
                false => "; if the sandbox hides the directory of its sessions, add it to run.sandbox_writable",
            };
            return failed(name, format!("it lost its session and continued in a new one{advice}"));
        }
        match self.committed(&second).await {
            Ok(text) if text.lines().map(str::trim).eq([FIRST_LINE, SECOND_LINE]) => {
                ok(name, "in the same session, with a second commit".to_owned())
            }
            Ok(text) => failed(name, format!("in the same session, but {FILE} contains {text:?}")),
            Err(why) => failed(name, why),
        }
    }

    /// Ends everything that was started. Reports processes that are left.
    pub(crate) async fn end(&self) -> Step {
        let name = "ends";
        // A run that was interrupted, and the agent's session. The daemon must not be stopped before: runs outlive it.
        let _ = self.kugetsu(&["queue", "cancel", ISSUE]).await;
        let since = Instant::now();
        while since.elapsed() < END_MAX && self.is_running().await {
            tokio::time::sleep(POLL).await;
        }
        let _ = self.kugetsu(&["destroy", ISSUE, "--discard", "--yes"]).await;
        if let Err(why) = self.kugetsu(&["daemon", "stop"]).await {
            return failed(name, why);
        }
        let since = Instant::now();
        loop {
            match processes_with(&self.home()) {
                Ok(left) if left.is_empty() => return ok(name, "no process is left".to_owned()),
                Ok(left) if since.elapsed() > END_MAX => return failed(name, format!("processes are left: {left:?}")),
                Ok(_) => tokio::time::sleep(POLL).await,
                Err(error) => return failed(name, format!("the processes could not be listed: {error}")),
            }
        }
    }

    async fn is_running(&self) -> bool {
        let status = self.kugetsu(&["status", "--json"]).await.unwrap_or_default();
        let status: Value = serde_json::from_str(&status).unwrap_or_default();
        status["running"].as_u64().is_some_and(|running| running > 0)
    }

    /// Keeps the scratch home, without the env files and the settings, whose values may be secrets. Returns its path.
    pub(crate) fn keep(self) -> io::Result<PathBuf> {
        let home = Home::new(self.home());
        fs::remove_dir_all(home.env())?;
        for settings in ["config.toml", "daemon.settings.toml"] {
            match fs::remove_file(home.path().join(settings)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(self.directory.keep())
    }

    pub(crate) fn remove(self) -> io::Result<()> {
        self.directory.close()
    }

    async fn create_repository(&self) -> Result<(), String> {
        let repository = self.repository();
        fs::create_dir(&repository).map_err(|error| error.to_string())?;
        fs::write(repository.join("README.md"), "A scratch repository of kugetsu.\n")
            .map_err(|error| error.to_string())?;
        let identity = ["-c", "user.name=kugetsu", "-c", "user.email=kugetsu@localhost", "-c", "commit.gpgsign=false"];
        self.git(&["init", "--quiet", "--initial-branch=main"]).await?;
        self.git(&["add", "README.md"]).await?;
        self.git(&[&identity[..], &["commit", "--quiet", "--no-verify", "--message=first"]].concat()).await.map(drop)
    }

    /// The text of the file on the branch of the run.
    async fn committed(&self, run: &Value) -> Result<String, String> {
        let branch = run["branch"].as_str().filter(|_| run["pushed"] == true);
        let branch = branch.ok_or_else(|| format!("it made no commit that was pushed: {}", reason(run)))?;
        let text = self.git(&["show", &format!("refs/heads/{branch}:{FILE}")]).await;
        text.map_err(|why| format!("{FILE} cannot be read from the branch {branch}: {why}"))
    }

    async fn git(&self, arguments: &[&str]) -> Result<String, String> {
        output(OneShot::new("git").args(arguments.iter().copied()).cwd(self.repository()).time_limit(COMMAND_MAX)).await
    }

    /// Runs a command that waits for a task, and returns the run object.
    async fn task(&self, arguments: &[&str]) -> Result<Value, String> {
        let text = self.kugetsu(&[arguments, &["--wait", "--json"]].concat()).await?;
        serde_json::from_str(&text).map_err(|error| format!("the run is not JSON: {error}"))
    }

    async fn kugetsu(&self, arguments: &[&str]) -> Result<String, String> {
        let program = env::current_exe().map_err(|error| format!("kugetsu does not find its own program: {error}"))?;
        let seconds = format!("{}s", TURN_MAX.as_secs());
        let command = OneShot::new(program)
            .args(arguments.iter().copied())
            .cwd(self.repository())
            .env("KUGETSU_HOME", self.home())
            .env("KUGETSU_AGENT_DEFAULT", &self.agent)
            .env("KUGETSU_AGENTS_MAX", "1")
            .env("KUGETSU_RUN_TIMEOUT", &seconds)
            .env("KUGETSU_RUN_SILENCE", &seconds)
            .time_limit(COMMAND_MAX);
        output(command).await
    }
}

/// Runs a command. Commands of kugetsu that wait for a task report its state by their exit code, and print it.
async fn output(command: OneShot) -> Result<String, String> {
    let output = kugetsu_process::run(command).await.map_err(|error| error.to_string())?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() || stdout.trim_start().starts_with('{') {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let mut lines = stderr.lines().filter(|line| line.starts_with("error: ") || line.starts_with("hint: ")).peekable();
    match lines.peek() {
        Some(_) => Err(lines.collect::<Vec<_>>().join("; ")),
        None => Err(stderr.trim().to_owned()),
    }
}

fn usage(profile: &Profile, run: &Value) -> [Step; 2] {
    let usage = &run["usage"];
    let tokens = usage["input_tokens"].as_u64().filter(|tokens| *tokens > 0);
    let cost = usage["cost_usd"].as_f64().filter(|cost| *cost > 0.0);
    let unknown = |name, how: &str| Step { name, outcome: Outcome::Unknown, detail: format!("not known: {how}") };
    [
        match tokens {
            Some(tokens) => ok("tokens", format!("{tokens} to the model in the first turn")),
            None => unknown("tokens", profile.token_support().1),
        },
        match cost {
            Some(cost) => ok("cost", format!("${cost:.4} for the first turn")),
            None => unknown("cost", profile.cost_support().1),
        },
    ]
}

fn ended(name: &'static str, run: &Value) -> Step {
    match run["state"] == "done" {
        true => ok(name, "its turn ended well".to_owned()),
        false => failed(name, reason(run)),
    }
}

fn reason(run: &Value) -> String {
    let text = |field: &str| run[field].as_str().unwrap_or_default();
    let hint = if text("hint").is_empty() { String::new() } else { format!("; {}", text("hint")) };
    format!("{}: {}{hint}", text("state"), text("reason"))
}

fn ok(name: &'static str, detail: String) -> Step {
    Step { name, outcome: Outcome::Ok, detail }
}

fn failed(name: &'static str, detail: String) -> Step {
    Step { name, outcome: Outcome::Failed, detail }
}

fn copy_if_exists(from: &Path, to: &Path) -> io::Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::copy(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The processes of this user whose environment names the home.
fn processes_with(home: &Path) -> io::Result<Vec<u32>> {
    let mark = format!("KUGETSU_HOME={}", home.display());
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // Processes of other users cannot be read, and one may end meanwhile.
        let Ok(environment) = fs::read(entry.path().join("environ")) else { continue };
        if environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes()) {
            found.push(pid);
        }
    }
    Ok(found)
}
