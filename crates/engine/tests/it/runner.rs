//! A scripted runner. Like a real one it holds its run's lock, writes records to its run's file before it reports them,
//! outlives the daemon, and reports again to the next one.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kugetsu_api::home::RunHome;
use kugetsu_api::record::{Body, Record};
use kugetsu_api::run::Usage;
use kugetsu_api::run_spec::{RunSpec, RunnerControl, Work};
use kugetsu_domain::ids::RunId;
use kugetsu_engine::runners::report;
use kugetsu_engine::{Engine, StartRunner};
use tokio::runtime::Handle;
use tokio::sync::watch;

/// Delay before a runner tries to reach a daemon again.
const RETRY: Duration = Duration::from_millis(5);

/// The machine that runners run on. It outlives every daemon.
#[derive(Clone)]
pub(crate) struct Machine(Arc<Inner>);

struct Inner {
    runtime: Handle,
    /// The daemon that runs now.
    daemon: watch::Sender<Option<Engine>>,
    /// The runs that were started, in order, with their messages.
    started: Mutex<Vec<(RunId, String)>>,
}

impl Machine {
    pub(crate) fn new() -> Self {
        let inner = Inner { runtime: Handle::current(), daemon: watch::Sender::new(None), started: Mutex::default() };
        Self(Arc::new(inner))
    }

    pub(crate) fn set_daemon(&self, engine: Option<Engine>) {
        self.0.daemon.send_replace(engine);
    }

    /// The messages of the runs that were started, in order.
    pub(crate) fn started(&self) -> Vec<String> {
        self.0.started.lock().unwrap().iter().map(|(_, message)| message.clone()).collect()
    }

    pub(crate) fn start_runner(&self) -> Arc<StartRunner> {
        let machine = self.clone();
        Arc::new(move |home, lock, _| {
            let spec: RunSpec = serde_json::from_slice(&std::fs::read(home.spec())?)?;
            let run: RunId = spec.run.parse().map_err(std::io::Error::other)?;
            machine.0.started.lock().unwrap().push((run, spec.message.clone()));
            let runner = Runner { machine: machine.clone(), run, spec, home: home.clone(), lock };
            let ended = machine.0.runtime.spawn(runner.run());
            Ok(Box::pin(async move {
                // Only the test's own end aborts it.
                let _ = ended.await;
                "its runner ended".to_owned()
            }))
        })
    }
}

struct Runner {
    machine: Machine,
    run: RunId,
    spec: RunSpec,
    home: RunHome,
    /// Released when the runner ends.
    lock: File,
}

impl Runner {
    /// The message is the script: `done`, `push`, `fail`, `vanish` (ends without a report) or `wait` (for a cancel).
    async fn run(self) {
        let script = self.spec.message.split_whitespace().next().unwrap_or_default().to_owned();
        self.write(Body::Step { text: "the runner starts".to_owned() });
        if let Work::Issue(issue) = &self.spec.work {
            self.write(Body::Worktree {
                directory: issue.directory.clone(),
                branch: issue.branch.clone(),
                base_branch: Some("main".to_owned()),
                base_sha: None,
            });
        }
        if script == "vanish" {
            return;
        }
        self.write(Body::Session {
            session: format!("session of {}", self.spec.issue),
            agent: self.spec.agent.name.clone(),
            model: None,
            resumed: false,
        });
        self.report().await;
        let state = match script.as_str() {
            "wait" => {
                self.wait_for_cancel().await;
                "canceled"
            }
            "fail" => "failed",
            _ => "done",
        };
        self.write(Body::Ended {
            state: state.to_owned(),
            reason: format!("the script says {script}"),
            head_sha: None,
            commits: 0,
            pushed: script == "push",
            usage: Usage::default(),
        });
        self.report().await;
        drop(self.lock);
    }

    fn write(&self, body: Body) {
        let mut line = serde_json::to_string(&Record { at: 0, body }).unwrap();
        line.push('\n');
        let mut file = OpenOptions::new().create(true).append(true).open(self.home.records()).unwrap();
        file.write_all(line.as_bytes()).unwrap();
    }

    /// Reports all records, however many daemons that takes.
    async fn report(&self) {
        let lines = std::fs::read(self.home.records()).unwrap();
        loop {
            let daemon = self.machine.0.daemon.borrow().clone();
            if let Some(engine) = daemon
                && report::take_records(&engine, self.run, 0, &lines).await.is_ok()
            {
                return;
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn wait_for_cancel(&self) {
        loop {
            let daemon = self.machine.0.daemon.borrow().clone();
            if let Some(engine) = daemon
                && let Ok((first, inbox)) = report::connect(&engine, self.run).await
            {
                if first.contains(&RunnerControl::Cancel) {
                    return;
                }
                drop(engine);
                if let Some(mut inbox) = inbox {
                    while let Some(message) = inbox.recv().await {
                        if message == RunnerControl::Cancel {
                            return;
                        }
                    }
                }
            }
            tokio::time::sleep(RETRY).await;
        }
    }
}
