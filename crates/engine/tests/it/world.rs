//! A machine with a home, and daemons that come and go.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kugetsu_agent::Policy;
use kugetsu_api::home::Home;
use kugetsu_domain::ids::{IssueId, TaskId};
use kugetsu_domain::issue::Issue;
use kugetsu_domain::machine::Machine as _;
use kugetsu_domain::reference::{IssueRef, ProjectPath, RepoRef, ServerBase};
use kugetsu_domain::task::{Task, TaskKind};
use kugetsu_engine::clock::Clock;
use kugetsu_engine::settings::EnvFiles;
use kugetsu_engine::{Engine, Parts, Settings, serve_engine};
use kugetsu_forge::repositories::Repositories;
use kugetsu_forge::servers::Servers;
use kugetsu_git::command::Git;
use kugetsu_store::open::{self, Opened};
use kugetsu_store::view::Repo;
use kugetsu_store::write::{Enqueue, Precondition};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{oneshot, watch};
use uuid::Uuid;

use crate::runner::Machine;

/// Time limit of every wait. Only a failing test reaches it.
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) struct World {
    pub(crate) home: Home,
    pub(crate) machine: Machine,
    time: watch::Sender<Timestamp>,
    clock: Clock,
    settings: watch::Sender<Arc<Settings>>,
    git: Git,
    _directory: tempfile::TempDir,
}

/// A running daemon, on threads of its own. Dropping it kills it.
pub(crate) struct Daemon {
    pub(crate) engine: Engine,
    threads: Threads,
    closed: oneshot::Receiver<()>,
}

impl Daemon {
    /// Kills it: every task of it stops where it is, and its database is closed.
    pub(crate) async fn kill(self) {
        let Self { engine, threads, closed } = self;
        drop(threads);
        drop(engine);
        tokio::time::timeout(LIMIT, closed).await.expect("the database is closed").expect("the writer lives");
    }
}

struct Threads {
    machine: Machine,
    runtime: Option<Runtime>,
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.machine.set_daemon(None);
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl World {
    pub(crate) async fn new(agents_max: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path().join("home"));
        home.create().unwrap();
        let (clock, time) = Clock::manual(Timestamp::from_second(1_700_000_000).unwrap());
        let settings = watch::Sender::new(Arc::new(settings(agents_max)));
        let git = Git::find().await.unwrap();
        Self { home, machine: Machine::new(), time, clock, settings, git, _directory: directory }
    }

    pub(crate) fn daemon(&self) -> Daemon {
        let Opened { store, closed } = open::open(&self.home.database()).unwrap();
        let engine = Engine::new(Parts {
            home: self.home.clone(),
            store,
            settings: self.settings.subscribe(),
            env_files: EnvFiles::new(|_, _| Ok(vec![])),
            git: self.git.clone(),
            clock: self.clock.clone(),
            start_runner: self.machine.start_runner(),
        });
        self.machine.set_daemon(Some(engine.clone()));
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.spawn(serve_engine(engine.clone()));
        Daemon { engine, threads: Threads { machine: self.machine.clone(), runtime: Some(runtime) }, closed }
    }

    /// Moves the clock forward.
    pub(crate) fn advance(&self, duration: Duration) {
        let duration = SignedDuration::try_from(duration).unwrap();
        self.time.send_modify(|now| *now = now.checked_add(duration).unwrap());
    }
}

impl Daemon {
    /// Queues a `start` for issue `number`.
    pub(crate) async fn start(&self, number: u64, message: &str) -> TaskId {
        self.enqueue(number, TaskKind::Start, message, Precondition::Idle).await
    }

    pub(crate) async fn enqueue(
        &self,
        number: u64,
        kind: TaskKind,
        message: &str,
        precondition: Precondition,
    ) -> TaskId {
        let enqueue = request(TaskId::new(Uuid::now_v7()), number, kind, message, precondition);
        let id = enqueue.task.id;
        self.engine.store().enqueue(enqueue, self.engine.clock().now()).await.unwrap();
        id
    }

    pub(crate) async fn issue(&self, number: u64) -> Issue {
        self.engine.store().issue(&reference(number)).await.unwrap().unwrap()
    }

    /// Waits until the issue has no live task. Returns the names of its events.
    pub(crate) async fn settled(&self, number: u64) -> Vec<String> {
        let wait = async {
            loop {
                let mut events = self.engine.store().listen();
                let issue = self.issue(number).await;
                if issue.tasks.is_empty() && issue.run.is_none() {
                    return issue.id;
                }
                // A lagging listener looks again.
                let _ = events.recv().await;
            }
        };
        let id = tokio::time::timeout(LIMIT, wait).await.expect("the issue settles");
        self.events(id).await
    }

    /// Waits until every effect of the issue is settled.
    pub(crate) async fn no_effects(&self, number: u64) {
        let issue = self.issue(number).await.id;
        let wait = async {
            while !self.engine.store().effects_of(issue).await.unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LIMIT, wait).await.expect("the effects are settled");
    }

    pub(crate) async fn events(&self, issue: IssueId) -> Vec<String> {
        let events = self.engine.store().events_after(Some(issue), 0, 1000).await.unwrap();
        events.into_iter().map(|event| event.kind).collect()
    }

    /// The state of the issue's latest task.
    pub(crate) async fn state(&self, number: u64) -> &'static str {
        let issue = self.issue(number).await;
        self.engine.store().view(issue.id).await.unwrap().unwrap().task.state.name()
    }
}

pub(crate) fn reference(number: u64) -> IssueRef {
    IssueRef { repo: repo().name, number }
}

fn repo() -> Repo {
    let base = ServerBase::new("https://forge.test").unwrap();
    Repo {
        name: RepoRef { base, project: ProjectPath::new("acme/api").unwrap() },
        kind: None,
        source: "https://forge.test/acme/api".to_owned(),
    }
}

pub(crate) fn request(id: TaskId, number: u64, kind: TaskKind, message: &str, precondition: Precondition) -> Enqueue {
    Enqueue {
        repo: repo(),
        number: Some(number),
        new_issue: IssueId::new(Uuid::now_v7()),
        title: String::new(),
        pr_url: None,
        task: Task::queued(id, kind, "scripted".to_owned(), message.to_owned(), Timestamp::UNIX_EPOCH),
        precondition,
        interrupt: false,
    }
}

fn settings(agents_max: usize) -> Settings {
    Settings {
        agents_max,
        agent_default: "scripted".to_owned(),
        permissions: Policy::Allow,
        run_timeout: Duration::from_secs(3600),
        run_silence: Duration::from_secs(600),
        temp_dir: None::<PathBuf>,
        queue_keep: Duration::from_secs(7 * 86_400),
        check_pr: false,
        pm_agent: None,
        pm_model: None,
        pm_cage: false,
        agents: vec![],
        servers: Servers::default(),
        repositories: Repositories::default(),
        variables: vec![],
    }
}

/// How often each event happened.
pub(crate) fn counts(events: &[String]) -> HashMap<&str, usize> {
    let mut counts = HashMap::new();
    for event in events {
        *counts.entry(event.as_str()).or_default() += 1;
    }
    counts
}
