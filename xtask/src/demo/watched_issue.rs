//! `cargo xtask demo`: from a labeled issue of a watched repository to a merged pull request, as a timeline.
//!
//! The server is the GitHub of the tests, with a person and a build server (`kugetsu-demo-forge`).

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::stage::{Background, Demo, build, say, variables};
use crate::steps::Outcome;
use crate::workspace::target;

/// Time between two looks at kugetsu's runs.
const LOOK: Duration = Duration::from_millis(200);
/// Limit for the removal of kugetsu's files after the merge.
const CLEANUP_TIMEOUT: Duration = Duration::from_secs(60);

/// A line of the server: who, and what happened.
type Reported = (String, String);

pub(crate) fn run() -> Outcome {
    let started = Instant::now();
    build()?;
    let stage = Demo::new()?;
    let agent = stage.agent();
    let model = stage.start_model("There is nothing to do.")?;
    let mut server = Server::start()?;
    say(&format!("a GitHub with the repository {} at {}", server.variable("PROJECT")?, server.variable("URL")?));
    stage.set_up(&agent, &model, &settings(&server)?)?;
    let token = server.variable("TOKEN")?.to_owned();
    let mut set = stage.kugetsu(["env", "set", "GITHUB_TOKEN", &token]);
    super::stage::run_to_end("kugetsu env set", set.stdout(Stdio::null()))?;
    let mut daemon = stage.start_daemon()?;
    say(
        "kugetsu watches the repository; here it is polled every second, otherwise every half minute, and checks are reported at once",
    );
    println!("{SETTINGS}");
    let result = follow(&stage, &mut server);
    daemon.stop();
    result?;
    say(&format!("finished in {:.1} s; all files are below {}", started.elapsed().as_secs_f64(), stage.home.display()));
    Ok(())
}

/// The settings of the watch, which are printed, too.
const SETTINGS: &str =
    "    label = \"agent\"\n    merge = \"when-approved\"\n    poll = \"1s\"\n    checks_grace = \"1s\"";

fn settings(server: &Server) -> Result<String, String> {
    let (url, project) = (server.variable("URL")?, server.variable("PROJECT")?);
    let watch = SETTINGS.replace("    ", "");
    Ok(format!(
        "\n[servers.demo]\nurl = \"{url}\"\nkind = \"github\"\n\n[watch.greeter]\nrepo = \"{url}/{project}\"\n{watch}\n"
    ))
}

/// The running server.
struct Server {
    process: Background,
    lines: Option<Lines<BufReader<ChildStdout>>>,
    variables: Vec<(String, String)>,
}

impl Server {
    fn start() -> Result<Self, String> {
        let mut command = Command::new(target().join("debug/kugetsu-demo-forge"));
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut process = Background(child.map_err(|error| format!("could not start the server: {error}"))?);
        let mut lines = BufReader::new(process.0.stdout.take().ok_or("no stdout")?).lines();
        let variables = variables(&mut lines)?;
        Ok(Self { process, lines: Some(lines), variables })
    }

    fn variable(&self, name: &str) -> Result<&str, String> {
        let found = self.variables.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).ok_or_else(|| format!("the server did not print {name}"))
    }

    /// Begins the story. The lines that the server prints arrive as they are printed.
    fn begin(&mut self) -> Result<Receiver<Reported>, String> {
        let stdin = self.process.0.stdin.as_mut().ok_or("no stdin")?;
        stdin.write_all(b"begin\n").map_err(|error| error.to_string())?;
        let (sender, receiver): (Sender<Reported>, _) = channel();
        let lines = self.lines.take().ok_or("the story runs already")?;
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let (who, what) = line.split_once('\t').unwrap_or(("server", line.as_str()));
                if sender.send((who.to_owned(), what.to_owned())).is_err() {
                    return;
                }
            }
        });
        Ok(receiver)
    }
}

/// Prints the timeline, and then the server's requests.
fn follow(stage: &Demo, server: &mut Server) -> Outcome {
    let reports = server.begin()?;
    say("the timeline, in seconds since the label");
    let mut timeline = Timeline { started: None, run: None, requests: Vec::new() };
    loop {
        match reports.recv_timeout(LOOK) {
            Ok((who, what)) if who == "requests" => timeline.requests.push(what),
            Ok((who, what)) => {
                // What the server reports follows from how a run ended.
                if timeline.started.is_some() {
                    timeline.look(stage)?;
                }
                timeline.print(&who, &what);
            }
            Err(RecvTimeoutError::Timeout) => timeline.look(stage)?,
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let status = server.process.0.wait().map_err(|error| error.to_string())?;
    if !status.success() {
        return Err(format!("the story did not end as expected ({status}); see `kugetsu list` and daemon.log"));
    }
    timeline.await_removal(stage)?;
    say("the requests to the server");
    timeline.requests.iter().for_each(|line| println!("    {line}"));
    say("the issues now");
    stage.show(stage.kugetsu(["list", "--all"]))
}

struct Timeline {
    /// When the first line was printed.
    started: Option<Instant>,
    /// The latest run of the issue, and its state.
    run: Option<(String, String)>,
    requests: Vec<String>,
}

impl Timeline {
    fn print(&mut self, who: &str, what: &str) {
        let seconds = self.started.get_or_insert_with(Instant::now).elapsed().as_secs_f64();
        println!("    {seconds:>6.1}  {who:<8} {what}");
    }

    /// Prints a run that began or ended since the last look.
    fn look(&mut self, stage: &Demo) -> Outcome {
        let issues = issues(stage)?;
        let Some(issue) = issues.first() else { return Ok(()) };
        let [run, state] = ["run", "state"].map(|name| issue[name].as_str().unwrap_or_default().to_owned());
        if run.is_empty() || self.run.as_ref() == Some(&(run.clone(), state.clone())) {
            return Ok(());
        }
        let agent = issue["agent"].as_str().unwrap_or("agent").to_owned();
        let is_new = self.run.as_ref().is_none_or(|(known, _)| *known != run);
        let is_over = |state: &str| !["queued", "running"].contains(&state);
        if is_new {
            if self.run.as_ref().is_some_and(|(_, state)| !is_over(state)) {
                self.print(&agent, "ends the run");
            }
            self.print(&agent, "starts a run");
        }
        if is_over(&state) {
            let reason = issue["reason"].as_str().map(|reason| format!(": {reason}")).unwrap_or_default();
            self.print(&agent, &format!("ends the run: {state}{reason}"));
        }
        self.run = Some((run, state));
        Ok(())
    }

    /// The worktree is removed after the server has been cleaned up.
    fn await_removal(&mut self, stage: &Demo) -> Outcome {
        let deadline = Instant::now() + CLEANUP_TIMEOUT;
        while Instant::now() < deadline {
            if issues(stage)?.first().is_some_and(|issue| issue["destroyed"] == true) {
                self.print("kugetsu", "removes its worktree and the agent's session");
                return Ok(());
            }
            std::thread::sleep(LOOK);
        }
        Err("the worktree was not removed".to_owned())
    }
}

fn issues(stage: &Demo) -> Result<Vec<Value>, String> {
    let output = stage.kugetsu(["list", "--all", "--json"]).output().map_err(|error| error.to_string())?;
    serde_json::from_slice(&output.stdout).map_err(|error| format!("kugetsu list: {error}"))
}
