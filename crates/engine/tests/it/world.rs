//! A machine with a home, and daemons that come and go.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use kugetsu_api::home::Home;
use kugetsu_domain::hold::Headroom;
use kugetsu_domain::ids::{IssueId, TaskId};
use kugetsu_domain::issue::Issue;
use kugetsu_domain::machine::Machine as _;
use kugetsu_domain::reference::{IssueRef, ProjectPath, RepoRef, ServerBase};
use kugetsu_domain::task::{Task, TaskKind};
use kugetsu_engine::clock::Clock;
use kugetsu_engine::headroom::Unmeasured;
use kugetsu_engine::schema::{Config, RunSandbox, Sandbox};
use kugetsu_engine::settings::EnvFiles;
use kugetsu_engine::{Engine, Parts, Settings, serve_engine};
use kugetsu_forge::http::limits::Limits;
use kugetsu_git::command::Git;
use kugetsu_store::effect::EffectView;
use kugetsu_store::fuse::Fuse;
use kugetsu_store::open::{self, Opened};
use kugetsu_store::query::{ViewFilter, ViewQuery};
use kugetsu_store::store::Store;
use kugetsu_store::view::Repo;
use kugetsu_store::write::{Enqueue, Precondition};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{OnceCell, oneshot, watch};
use uuid::Uuid;

use crate::runner::Machine;

/// Time limit of every wait. Only a failing test reaches it.
const LIMIT: Duration = Duration::from_secs(180);
/// Time without an event after which the clock is set to the time when the next effect is due.
const IDLE: Duration = Duration::from_millis(1);

pub(crate) struct World {
    pub(crate) home: Home,
    pub(crate) machine: Machine,
    pub(crate) repo: Repo,
    time: watch::Sender<Timestamp>,
    clock: Clock,
    settings: watch::Sender<Arc<Settings>>,
    pub(crate) env_files: EnvFiles,
    pub(crate) git: Git,
    pub(crate) forge_limits: Limits,
    /// The headroom of the machine.
    pub(crate) headroom: Arc<Mutex<(Headroom, Vec<Unmeasured>)>>,
    _directory: tempfile::TempDir,
}

/// A running daemon, on its own threads. Dropping it kills it.
pub(crate) struct Daemon {
    pub(crate) engine: Engine,
    /// The daemon's store as the test sees it: it answers also when the daemon is dead, and its answers are no steps.
    pub(crate) store: Store,
    pub(crate) fuse: Fuse,
    time: watch::Sender<Timestamp>,
    repo: Repo,
    threads: Threads,
    closed: oneshot::Receiver<()>,
}

impl Daemon {
    /// Kills it: every task of it stops where it is, and its database is closed.
    pub(crate) async fn kill(self) {
        let Self { engine, store, threads, closed, .. } = self;
        drop((threads, engine, store));
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

/// The git program and an empty database, which are the same for all worlds of a test.
static SHARED: OnceCell<(Git, Vec<u8>)> = OnceCell::const_new();

/// A directory in memory where the system has one: these tests are not about the disk.
fn memory_directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

async fn shared() -> (Git, Vec<u8>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("empty.db");
    let Opened { store, closed } = open::open(&path).unwrap();
    drop(store);
    closed.await.unwrap();
    (Git::find().await.unwrap(), std::fs::read(path).unwrap())
}

impl World {
    pub(crate) async fn new(agents_max: usize) -> Self {
        Self::with(settings(agents_max), repo()).await
    }

    /// A world whose issues belong to `repo`.
    pub(crate) async fn with(settings: Settings, repo: Repo) -> Self {
        let directory = memory_directory();
        let home = Home::new(directory.path().join("home"));
        home.create().unwrap();
        let (clock, time) = Clock::manual(Timestamp::from_second(1_700_000_000).unwrap());
        let settings = watch::Sender::new(Arc::new(settings));
        let (git, database) = SHARED.get_or_init(shared).await;
        std::fs::write(home.database(), database).unwrap();
        let env_files = EnvFiles::new(|_, _| Ok(vec![]));
        Self {
            home,
            machine: Machine::new(),
            repo,
            time,
            clock,
            settings,
            env_files,
            git: git.clone(),
            forge_limits: Limits::default(),
            headroom: Arc::default(),
            _directory: directory,
        }
    }

    pub(crate) fn change_settings(&self, change: impl FnOnce(&mut Settings)) {
        self.settings.send_modify(|settings| change(Arc::make_mut(settings)));
    }

    pub(crate) fn daemon(&self) -> Daemon {
        self.daemon_with(Fuse::after(usize::MAX))
    }

    /// A daemon that dies when the fuse blows.
    pub(crate) fn daemon_with(&self, fuse: Fuse) -> Daemon {
        let Opened { store, closed } = open::open(&self.home.database()).unwrap();
        let engine = Engine::new(Parts {
            home: self.home.clone(),
            store: store.with_fuse(fuse.clone()),
            settings: self.settings.subscribe(),
            env_files: self.env_files.clone(),
            git: self.git.clone(),
            clock: self.clock.clone(),
            start_runner: self.machine.start_runner(fuse.clone()),
            forge_limits: self.forge_limits.clone(),
            measure: {
                let headroom = Arc::clone(&self.headroom);
                Arc::new(move |_: &Home| headroom.lock().unwrap().clone())
            },
        });
        self.machine.set_daemon(Some(engine.clone()));
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.spawn(serve_engine(engine.clone()));
        let threads = Threads { machine: self.machine.clone(), runtime: Some(runtime) };
        Daemon { engine, store, fuse, time: self.time.clone(), repo: self.repo.clone(), threads, closed }
    }

    /// A request to queue a task for issue `number`.
    pub(crate) fn request(
        &self,
        id: TaskId,
        number: u64,
        kind: TaskKind,
        message: &str,
        precondition: Precondition,
    ) -> Enqueue {
        Enqueue { repo: self.repo.clone(), ..request(id, number, kind, message, precondition) }
    }
}

impl Daemon {
    /// Queues a `start` for issue `number`.
    pub(crate) async fn start(&self, number: u64, message: &str) -> TaskId {
        self.enqueue(number, TaskKind::Start, message, Precondition::Idle).await
    }

    /// Queues a `start` with a model.
    pub(crate) async fn start_with_model(&self, number: u64, message: &str, model: &str) -> TaskId {
        let enqueue = request(TaskId::new(Uuid::now_v7()), number, TaskKind::Start, message, Precondition::Idle);
        let mut enqueue = Enqueue { repo: self.repo.clone(), ..enqueue };
        enqueue.task.model = Some(model.to_owned());
        let id = enqueue.task.id;
        self.engine.store().enqueue(enqueue, self.engine.clock().now()).await.unwrap();
        id
    }

    pub(crate) async fn enqueue(
        &self,
        number: u64,
        kind: TaskKind,
        message: &str,
        precondition: Precondition,
    ) -> TaskId {
        let enqueue = request(TaskId::new(Uuid::now_v7()), number, kind, message, precondition);
        let enqueue = Enqueue { repo: self.repo.clone(), ..enqueue };
        let id = enqueue.task.id;
        self.engine.store().enqueue(enqueue, self.engine.clock().now()).await.unwrap();
        id
    }

    /// The issues with tasks, the coordinator among them.
    pub(crate) async fn all_issues(&self) -> BTreeSet<IssueId> {
        let views = self.store.views(ViewQuery::new(ViewFilter::All)).await.unwrap().views;
        views.iter().map(|view| view.issue).collect()
    }

    pub(crate) fn reference(&self, number: u64) -> IssueRef {
        IssueRef { repo: self.repo.name.clone(), number }
    }

    pub(crate) async fn issue(&self, number: u64) -> Issue {
        self.store.issue(&self.reference(number)).await.unwrap().unwrap()
    }

    /// Waits until `look` finds something. Whenever nothing happens, the clock moves to the time when the next effect is
    /// due.
    pub(crate) async fn until<T>(&self, what: &str, look: impl AsyncFn() -> Option<T>) -> T {
        let wait = async {
            let mut events = self.store.listen();
            loop {
                if let Some(found) = look().await {
                    return found;
                }
                tokio::select! {
                    // A lagging listener looks again.
                    _ = events.recv() => {}
                    () = tokio::time::sleep(IDLE) => self.advance_to_next_effect().await,
                }
            }
        };
        tokio::time::timeout(LIMIT, wait).await.unwrap_or_else(|_| panic!("{what} did not happen"))
    }

    async fn advance_to_next_effect(&self) {
        if let Some(due) = self.store.next_effect_due(self.engine.clock().now()).await.unwrap() {
            self.set_time(due);
        }
    }

    /// Moves the clock forward.
    pub(crate) fn set_time(&self, time: Timestamp) {
        self.time.send_if_modified(|now| {
            let is_later = time > *now;
            *now = time.max(*now);
            is_later
        });
    }

    /// Waits until an effect of the issue has failed `attempt` times, without moving the clock.
    pub(crate) async fn failed_effect(&self, issue: IssueId, attempt: u32) -> EffectView {
        let wait = async {
            loop {
                let effects = self.store.effects_of(issue).await.unwrap();
                if let Some(effect) = effects.into_iter().find(|effect| effect.attempt == attempt) {
                    return effect;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LIMIT, wait).await.expect("an effect fails")
    }

    /// Waits until the issue has no live task. Returns the names of its events.
    pub(crate) async fn settled(&self, number: u64) -> Vec<String> {
        let id = self
            .until("the end of the issue's tasks", async || {
                let issue = self.store.issue(&self.reference(number)).await.unwrap()?;
                (issue.tasks.is_empty() && issue.run.is_none()).then_some(issue.id)
            })
            .await;
        self.events(id).await
    }

    /// Waits until every effect of the issue is settled or given up. Returns those that are given up.
    pub(crate) async fn no_effects(&self, issue: IssueId) -> Vec<EffectView> {
        self.until("the end of all effects", async || {
            let effects = self.store.effects_of(issue).await.unwrap();
            effects.iter().all(|effect| effect.failed).then_some(effects)
        })
        .await
    }

    pub(crate) async fn events(&self, issue: IssueId) -> Vec<String> {
        let events = self.store.events_after(Some(issue), 0, 1000).await.unwrap();
        events.into_iter().map(|event| event.kind).collect()
    }

    /// The state of the issue's latest task.
    pub(crate) async fn state(&self, number: u64) -> &'static str {
        let issue = self.issue(number).await;
        self.store.view(issue.id).await.unwrap().unwrap().task.state.name()
    }
}

pub(crate) fn repo() -> Repo {
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
        used_numbers: 0,
        new_issue: IssueId::new(Uuid::now_v7()),
        title: String::new(),
        pr_url: None,
        watch: None,
        task: Task::queued(id, kind, "scripted".to_owned(), message.to_owned(), Timestamp::UNIX_EPOCH),
        precondition,
        interrupt: false,
    }
}

pub(crate) fn settings(agents_max: usize) -> Settings {
    let mut settings = Settings::new(Config::default());
    settings.agents.max = agents_max;
    settings.default_agent = "scripted".to_owned();
    settings.destroy.check_pr = false;
    settings.pm.cage = Sandbox::Off;
    settings.run.sandbox = RunSandbox::Off;
    settings
}

/// How often each event happened.
pub(crate) fn counts(events: &[String]) -> HashMap<&str, usize> {
    let mut counts = HashMap::new();
    for event in events {
        *counts.entry(event.as_str()).or_default() += 1;
    }
    counts
}
