//! A scripted runner. Like a real one it holds its run's lock, writes records to its run's file before it reports them,
//! outlives the daemon, and reports again to the next one.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::future::pending;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use kugetsu_api::home::RunHome;
use kugetsu_api::problem::Problem;
use kugetsu_api::record::{Body, Record};
use kugetsu_api::run::Usage;
use kugetsu_api::run_key::RunKey;
use kugetsu_api::run_spec::{IssueSpec, RunSpec, RunnerControl, Work};
use kugetsu_api::sealed_record::{needs_seal, seal};
use kugetsu_domain::ids::{RunId, TaskId};
use kugetsu_domain::task::TaskKind;
use kugetsu_engine::callers::Caller;
use kugetsu_engine::runners::access::{Credentials, RunnerAccess, authorize};
use kugetsu_engine::runners::report;
use kugetsu_engine::watch_queries::for_agent;
use kugetsu_engine::{Engine, StartRunner};
use kugetsu_store::error::StoreError;
use kugetsu_store::fuse::Fuse;
use kugetsu_store::write::Precondition;
use secrecy::ExposeSecret;
use tokio::runtime::Handle;
use tokio::sync::watch;
use uuid::Uuid;

use crate::world::request;

/// The end of the script `pause`: a day after the start of a world's clock.
pub(crate) const PAUSED_UNTIL: Timestamp = Timestamp::constant(1_700_086_400, 0);

/// The machine that runners run on. It outlives every daemon.
#[derive(Clone)]
pub(crate) struct Machine(Arc<Inner>);

struct Inner {
    runtime: Handle,
    /// The daemon that runs now.
    daemon: watch::Sender<Option<Engine>>,
    /// The runs that were started, in order, with their messages.
    started: Mutex<Vec<(RunId, String)>>,
    /// The keys that the runners have.
    keys: Mutex<HashMap<RunId, RunKey>>,
    /// Whether it lacks what another process needs.
    full: AtomicBool,
    /// Carries out tasks whose messages are no scripts.
    agent: Mutex<Option<Arc<Agent>>>,
    /// The texts that the agent of each run read.
    read: Mutex<Vec<ToolTexts>>,
    /// Says something at the end of each turn.
    speaker: Mutex<Option<Arc<Speaker>>>,
    /// Runs the commands that check the work.
    verifier: Mutex<Option<Arc<Verifier>>>,
}

/// Carries out a turn, given the issue's branch.
pub(crate) type Agent = dyn Fn(&str) -> Turned + Send + Sync;

/// The result of a turn.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turned {
    /// The commit that was pushed.
    pub(crate) pushed: Option<String>,
    pub(crate) comments: Vec<String>,
    /// Ends the work.
    pub(crate) question: Option<String>,
}

impl From<Option<String>> for Turned {
    fn from(pushed: Option<String>) -> Self {
        Self { pushed, ..Self::default() }
    }
}

/// The texts that an agent reads with its tools: its issue, and the checks of its pull request.
pub(crate) type ToolTexts = [Result<String, Problem>; 2];

/// Returns the last text of a turn with this message, or the reason why the turn fails.
pub(crate) type Speaker = dyn Fn(&str) -> Result<String, String> + Send + Sync;

/// Checks a head that was pushed.
pub(crate) type Verifier = dyn Fn(&str) -> Check + Send + Sync;

/// How the commands that check the work end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    Passes,
    Fails,
    /// The run ends before they do, in this state.
    Ends(&'static str),
    /// The runner is killed before they end.
    Vanishes,
}

impl Machine {
    pub(crate) fn new() -> Self {
        let inner = Inner {
            runtime: Handle::current(),
            daemon: watch::Sender::new(None),
            started: Mutex::default(),
            keys: Mutex::default(),
            full: AtomicBool::new(false),
            agent: Mutex::default(),
            read: Mutex::default(),
            speaker: Mutex::default(),
            verifier: Mutex::default(),
        };
        Self(Arc::new(inner))
    }

    pub(crate) fn set_daemon(&self, engine: Option<Engine>) {
        self.0.daemon.send_replace(engine);
    }

    /// From now on, `agent` carries out the runs, whatever their messages are.
    pub(crate) fn set_agent<T: Into<Turned>>(&self, agent: impl Fn(&str) -> T + Send + Sync + 'static) {
        *self.0.agent.lock().unwrap() = Some(Arc::new(move |branch: &str| agent(branch).into()));
    }

    /// From now on, messages are scripts.
    pub(crate) fn follow_scripts(&self) {
        *self.0.agent.lock().unwrap() = None;
    }

    /// The texts that agents have read with their tools, oldest first.
    pub(crate) fn tool_texts(&self) -> Vec<ToolTexts> {
        self.0.read.lock().unwrap().clone()
    }

    /// From now on, turns end with what `speaker` says.
    pub(crate) fn set_speaker(&self, speaker: impl Fn(&str) -> Result<String, String> + Send + Sync + 'static) {
        *self.0.speaker.lock().unwrap() = Some(Arc::new(speaker));
    }

    /// From now on, `verifier` runs the commands that check the work. Without one, they pass.
    pub(crate) fn set_verifier(&self, verifier: impl Fn(&str) -> Check + Send + Sync + 'static) {
        *self.0.verifier.lock().unwrap() = Some(Arc::new(verifier));
    }

    /// While it is full, no process can be started.
    pub(crate) fn set_full(&self, full: bool) {
        self.0.full.store(full, Ordering::SeqCst);
    }

    /// The messages of the runs that were started, in order.
    pub(crate) fn started(&self) -> Vec<String> {
        self.started_runs().into_iter().map(|(_, message)| message).collect()
    }

    pub(crate) fn started_runs(&self) -> Vec<(RunId, String)> {
        self.0.started.lock().unwrap().clone()
    }

    /// The key that the runner of this run has.
    pub(crate) fn key(&self, run: RunId) -> RunKey {
        self.0.keys.lock().unwrap()[&run].clone()
    }

    /// The daemon may die before and after it starts a runner.
    pub(crate) fn start_runner(&self, fuse: Fuse) -> Arc<StartRunner> {
        let machine = self.clone();
        Arc::new(move |home, lock, secrets| {
            if !fuse.step() {
                return Ok(Box::pin(pending()));
            }
            if machine.0.full.load(Ordering::SeqCst) {
                return Err(nix::errno::Errno::EAGAIN.into());
            }
            let spec: RunSpec = serde_json::from_slice(&std::fs::read(home.spec())?)?;
            let key = secrets.key.ok_or_else(|| std::io::Error::other("the runner got no key"))?;
            let run: RunId = spec.run.parse().map_err(std::io::Error::other)?;
            machine.0.started.lock().unwrap().push((run, spec.message.clone()));
            machine.0.keys.lock().unwrap().insert(run, key.clone());
            let written = Mutex::default();
            let runner = Runner { machine: machine.clone(), run, spec, home: home.clone(), lock, key, written };
            let ended = machine.0.runtime.spawn(runner.run());
            if !fuse.step() {
                return Ok(Box::pin(pending()));
            }
            Ok(Box::pin(async move {
                // Only the test's own end aborts it.
                let _ = ended.await;
                "its runner ended".to_owned()
            }))
        })
    }

    /// Repeats a call to the daemon until one answers: it may die before it does.
    async fn call<T, F>(&self, call: impl Fn(Engine) -> F) -> T
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut daemons = self.0.daemon.subscribe();
        loop {
            // The sender lives in `self`.
            let engine = daemons.wait_for(Option::is_some).await.unwrap().clone();
            let Some(engine) = engine else { continue };
            tokio::select! {
                answer = call(engine) => match answer {
                    Ok(answer) => return answer,
                    Err(error) => panic!("the daemon refuses a runner's call: {error}"),
                },
                _ = daemons.changed() => {}
            }
        }
    }
}

/// Shows a daemon the key of a run.
pub(crate) async fn access(engine: &Engine, run: RunId, key: &RunKey) -> Result<RunnerAccess, Problem> {
    let sent = Credentials { key: Some(key.text().expose_secret()), caller: Caller::Runner(run) };
    authorize(engine, run, sent).await
}

struct Runner {
    machine: Machine,
    run: RunId,
    spec: RunSpec,
    home: RunHome,
    /// Released when the runner ends.
    lock: File,
    key: RunKey,
    written: Mutex<Written>,
}

/// The end of what a runner has written, and of its last sealed record.
#[derive(Debug, Default)]
struct Written {
    length: u64,
    sealed: u64,
}

impl Runner {
    /// The message is the script: `done`, `push`, `fail`, `broken` (fails before the session is open), `pause` (only once), `limit` (a limit of the model without a time), `answer` (the model answers, then it waits for a cancel), `vanish` (ends without a report), `vanish-early` (before the agent),
    /// `vanish-unreadable` (and no one can see whether the agent began), `stuck` (does nothing more), `wait` (for a cancel), `used <usd>` (done, at that cost), `spend <usd>` (at that cost, until it has to end), `numbers` (reports impossible ones) or `delegate <issue> <script>`.
    async fn run(self) {
        let has_script = self.machine.0.agent.lock().unwrap().is_none();
        let script = self.spec.message.lines().next().filter(|_| has_script).unwrap_or("done").to_owned();
        let has_agent = !matches!(self.spec.work, Work::Push(_));
        let cost_usd: Option<f64> = script.split_whitespace().nth(1).and_then(|cost| cost.parse().ok());
        let mut words = script.split_whitespace();
        let command = words.next().unwrap_or_default();
        self.write(Body::Step { text: "the runner starts".to_owned() });
        if let Work::Issue(issue) = &self.spec.work {
            self.write(Body::Worktree {
                directory: issue.directory.clone(),
                branch: issue.branch.clone(),
                base_branch: Some("main".to_owned()),
                base_sha: None,
            });
        }
        match command {
            "vanish-early" => return,
            "vanish-unreadable" => return symlink(self.home.agent_errors(), self.home.agent_errors()).unwrap(),
            _ => {}
        }
        if has_agent {
            std::fs::write(self.home.agent_errors(), "").unwrap();
        }
        match command {
            "vanish" => return,
            "stuck" => return pending().await,
            _ => {}
        }
        if has_agent && command != "broken" {
            self.write(Body::Session {
                session: format!("session-of-{}", self.spec.issue),
                agent: self.spec.agent.name.clone(),
                model: None,
                resumed: false,
            });
        }
        self.report().await;
        let state = match command {
            "spend" => self.spend(cost_usd).await,
            "wait" | "answer" => {
                if command == "answer" {
                    self.write(Body::Progress { usage: Usage::default() });
                    self.report().await;
                }
                self.wait_for_cancel().await;
                "canceled"
            }
            "delegate" => {
                let number = words.next().and_then(|number| number.parse().ok()).unwrap();
                self.start_task(number, &words.collect::<Vec<_>>().join(" ")).await;
                "done"
            }
            "fail" | "broken" => "failed",
            "pause" if self.spec.pauses == 0 => "paused",
            "limit" => "paused",
            _ => "done",
        };
        let speaker = self.machine.0.speaker.lock().unwrap().clone();
        let (state, reason) = match speaker.map(|speaker| speaker(&self.spec.message)) {
            Some(Ok(text)) => {
                self.write(Body::Text { text });
                (state, format!("the script is {command}"))
            }
            Some(Err(reason)) => ("failed", reason),
            None => (state, format!("the script is {command}")),
        };
        let agent = self.machine.0.agent.lock().unwrap().clone();
        let turned: Turned = match (&agent, &self.spec.work) {
            (Some(agent), Work::Issue(issue)) => {
                if !issue.tools.is_empty() {
                    self.use_tools().await;
                }
                agent(&issue.branch)
            }
            _ => (command == "push").then(|| "6dcb09b5b57875f334f61aebed695e2e4193db5e".to_owned()).into(),
        };
        let texts = turned.comments.into_iter().map(|text| (false, text));
        let texts = texts.chain(turned.question.clone().map(|text| (true, text)));
        for (number, (question, text)) in (1..).zip(texts) {
            self.write(Body::Comment { number, question, text });
            self.report().await;
        }
        let state = if turned.question.is_some() { "blocked" } else { state };
        let pushed = turned.pushed;
        let is_pushed = pushed.is_some();
        let mut state = state;
        if let (Some(head), Work::Issue(issue), "done") = (&pushed, &self.spec.work, state) {
            match self.verify(head, &issue.verify) {
                Check::Passes | Check::Fails => {}
                Check::Ends(ended) => state = ended,
                Check::Vanishes => return self.record_push(issue, head),
            }
        }
        let usage = match command {
            "numbers" => Usage { cost_usd: Some(-1e300), input_tokens: Some(1 << 63), output_tokens: Some(u64::MAX) },
            "used" => Usage { cost_usd, ..Usage::default() },
            _ => Usage::default(),
        };
        self.write(Body::Ended {
            state: state.to_owned(),
            reason,
            hint: Some(format!("hint of {command}")),
            paused_until: (state == "paused" && command == "pause").then_some(PAUSED_UNTIL.as_millisecond()),
            head_sha: pushed,
            commits: u64::from(is_pushed),
            pushed: is_pushed,
            usage,
        });
        self.report().await;
        drop(self.lock);
    }

    fn write(&self, body: Body) {
        let is_sealed = needs_seal(&body);
        let record = serde_json::to_string(&Record { at: 0, body }).unwrap();
        let mut written = self.written.lock().unwrap();
        let line = match is_sealed {
            true => seal(&record, &self.run.to_string(), &self.key, written.length, written.sealed).unwrap(),
            false => format!("{record}\n"),
        };
        written.length += line.len() as u64;
        if is_sealed {
            written.sealed = written.length;
        }
        let mut file = OpenOptions::new().create(true).append(true).open(self.home.records()).unwrap();
        file.write_all(line.as_bytes()).unwrap();
    }

    /// Shows a daemon that this is the run's runner.
    async fn access(&self, engine: &Engine) -> Result<RunnerAccess, StoreError> {
        let access = access(engine, self.run, &self.key).await;
        access.map_err(|problem| StoreError::Database(problem.to_string()))
    }

    /// Runs the commands that check the work, up to the first that does not pass.
    fn verify(&self, head: &str, commands: &[Vec<String>]) -> Check {
        let verifier = self.machine.0.verifier.lock().unwrap().clone();
        for command in commands {
            let check = verifier.as_ref().map_or(Check::Passes, |verifier| verifier(head));
            let (command, head_sha, passed) = (command.join(" "), head.to_owned(), check == Check::Passes);
            let output = if passed { String::new() } else { format!("it does not work at {head}") };
            if matches!(check, Check::Passes | Check::Fails) {
                self.write(Body::Verified { command, head_sha, passed, output });
            }
            if !passed {
                return check;
            }
        }
        Check::Passes
    }

    /// Notes in the mirror what was pushed, as a push does.
    fn record_push(&self, issue: &IssueSpec, head: &str) {
        let home = self.home.path().ancestors().nth(2).unwrap();
        let path = home.join("mirrors").join(&issue.mirror).join("refs/kugetsu/pushed").join(&issue.branch);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, head).unwrap();
    }

    /// Reads what the tools of the agent show.
    async fn use_tools(&self) {
        let read = |engine: Engine| async move {
            let access = self.access(&engine).await?;
            Ok([for_agent::about_issue(&engine, &access).await, for_agent::about_checks(&engine, &access).await])
        };
        let texts = self.machine.call(read).await;
        self.machine.0.read.lock().unwrap().push(texts);
    }

    /// Reports all records.
    async fn report(&self) {
        let lines = std::fs::read(self.home.records()).unwrap();
        let lines = &lines;
        let report =
            |engine: Engine| async move { report::take_records(&engine, &self.access(&engine).await?, 0, lines).await };
        self.machine.call(report).await;
    }

    /// Queues a task for an issue. Its id follows from the run, so that repeating this queues one.
    async fn start_task(&self, number: u64, message: &str) {
        let run: Uuid = self.run.to_string().parse().unwrap();
        let id = TaskId::new(Uuid::from_u128(run.as_u128() + 1));
        let mut task = request(id, number, TaskKind::Start, message, Precondition::Idle);
        task.task.asked_by = Some(self.spec.task.parse().unwrap());
        let task = &task;
        self.machine
            .call(|engine| async move { engine.store().enqueue(task.clone(), engine.clock().now()).await })
            .await;
    }

    /// Reports a cost, and returns how it has to end.
    async fn spend(&self, cost_usd: Option<f64>) -> &'static str {
        let connect = |engine: Engine| async move { report::connect(&engine, &self.access(&engine).await?).await };
        let (_, inbox) = self.machine.call(connect).await;
        self.write(Body::Progress { usage: Usage { cost_usd, ..Usage::default() } });
        self.report().await;
        let Some(mut inbox) = inbox else { return "lost" };
        loop {
            match inbox.recv().await {
                Some(RunnerControl::Spent { .. }) => return "timeout",
                Some(RunnerControl::Cancel { .. }) | None => return "canceled",
                Some(_) => {}
            }
        }
    }

    async fn wait_for_cancel(&self) {
        let mut daemons = self.machine.0.daemon.subscribe();
        loop {
            let connect = |engine: Engine| async move { report::connect(&engine, &self.access(&engine).await?).await };
            let (first, inbox) = self.machine.call(connect).await;
            if first.iter().any(|message| matches!(message, RunnerControl::Cancel { .. })) {
                return;
            }
            let Some(mut inbox) = inbox else { return };
            daemons.mark_unchanged();
            loop {
                tokio::select! {
                    message = inbox.recv() => match message {
                        Some(RunnerControl::Cancel { .. }) => return,
                        Some(_) => {}
                        None => break,
                    },
                    _ = daemons.changed() => break,
                }
            }
        }
    }
}
