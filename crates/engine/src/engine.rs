//! The engine: what the daemon knows and holds while it runs. Its parts are in their own files and take it by reference.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, OnceLock, PoisonError};

use jiff::Timestamp;
use kugetsu_api::run_spec::{Limits, RunnerControl};
use kugetsu_domain::effect::Effect;
use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::{IssueId, RunId};
use kugetsu_domain::issue::{Issue, Lease};
use kugetsu_domain::reference::RepoRef;
use kugetsu_domain::task::TaskKind;
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::http::limits;
use kugetsu_forge::http::transport::Transport;
use kugetsu_git::command::Git;
use kugetsu_store::error::StoreError;
use kugetsu_store::store::Store;
use kugetsu_store::view::Repo;
use kugetsu_store::write::Applied;
use tokio::sync::{Mutex, Notify, mpsc, watch};

use crate::connections::Runners;
use crate::settings::{EnvFiles, Settings};
use kugetsu_api::home::Home;

/// What the engine is made of.
#[derive(Debug)]
pub struct Parts {
    /// Where everything lies.
    pub home: Home,
    /// The stored facts.
    pub store: Store,
    /// The settings, as they change.
    pub settings: watch::Receiver<Arc<Settings>>,
    /// The door to git.
    pub git: Git,
    /// The env files, which are read again for each run.
    pub env_files: EnvFiles,
    /// The program that is started as a runner: this same one.
    pub program: PathBuf,
}

/// The engine. Clones share it.
#[derive(Clone, Debug)]
pub struct Engine(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    parts: Parts,
    runners: Runners,
    /// Made when it is first needed, since most questions need none.
    transport: OnceLock<Transport>,
    /// Runs that were claimed and whose runners are to be started.
    launches: mpsc::UnboundedSender<Launch>,
    launching: StdMutex<Option<mpsc::UnboundedReceiver<Launch>>>,
    /// Issues whose run has pushed: their pull request is to be looked up.
    pushes: mpsc::UnboundedSender<IssueId>,
    pushed: StdMutex<Option<mpsc::UnboundedReceiver<IssueId>>>,
    dispatch: Notify,
    /// What the coordinator asked for may be over.
    reports: Notify,
    /// The dispatcher's last look found every place taken: another task that needs one is no reason to look again.
    full: AtomicBool,
    /// Held from counting the places to queueing, by a caller that would rather not queue.
    places: Mutex<()>,
    /// Held while a local repository is given its name.
    naming: Mutex<()>,
    /// Repositories that were stored as they are, so that the next task for one of them costs no look.
    seen: StdMutex<HashSet<(RepoRef, String)>>,
    started_at: Timestamp,
}

/// A run that was claimed: its issue as it is then, and the lease that its runner gets.
pub(crate) type Launch = (Issue, Lease);

/// How many repositories are remembered; beyond that the list begins anew.
const SEEN_MAX: usize = 4096;

impl Engine {
    /// An engine that does nothing yet; [`crate::serve_engine`] sets it going.
    pub fn new(parts: Parts) -> Self {
        let (launches, launching) = mpsc::unbounded_channel();
        let (pushes, pushed) = mpsc::unbounded_channel();
        Self(Arc::new(Inner {
            parts,
            runners: Runners::default(),
            transport: OnceLock::new(),
            launches,
            launching: StdMutex::new(Some(launching)),
            pushes,
            pushed: StdMutex::new(Some(pushed)),
            dispatch: Notify::new(),
            reports: Notify::new(),
            full: AtomicBool::new(false),
            places: Mutex::new(()),
            naming: Mutex::new(()),
            seen: StdMutex::default(),
            started_at: now(),
        }))
    }

    /// Where everything lies.
    pub fn home(&self) -> &Home {
        &self.0.parts.home
    }

    /// The stored facts.
    pub fn store(&self) -> &Store {
        &self.0.parts.store
    }

    /// The door to git.
    pub fn git(&self) -> &Git {
        &self.0.parts.git
    }

    /// The settings in force now.
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.0.parts.settings.borrow())
    }

    /// Follows the settings.
    pub fn settings_changes(&self) -> watch::Receiver<Arc<Settings>> {
        self.0.parts.settings.clone()
    }

    /// What opens connections to servers.
    ///
    /// # Errors
    /// The system has no certificates to check a server with.
    pub(crate) fn transport(&self) -> Result<Transport, ForgeError> {
        if let Some(transport) = self.0.transport.get() {
            return Ok(transport.clone());
        }
        let transport = Transport::new(limits::Limits::default())?;
        Ok(self.0.transport.get_or_init(|| transport).clone())
    }

    pub(crate) fn env_files(&self) -> &EnvFiles {
        &self.0.parts.env_files
    }

    /// The program that is started as a runner.
    pub fn program(&self) -> &PathBuf {
        &self.0.parts.program
    }

    /// The connected runners.
    pub fn runners(&self) -> &Runners {
        &self.0.runners
    }

    /// Since when it runs.
    pub fn started_at(&self) -> Timestamp {
        self.0.started_at
    }

    /// Lets the dispatcher look for work.
    pub fn wake_dispatcher(&self) {
        self.0.dispatch.notify_one();
    }

    /// A task that needs a place was queued. Where all are taken, whatever frees one wakes the dispatcher.
    fn place_wanted(&self) {
        if !self.0.full.load(Ordering::Acquire) {
            self.wake_dispatcher();
        }
    }

    /// What the dispatcher found: set before it looks and after, so that nothing that frees a place is missed.
    pub(crate) fn set_full(&self, full: bool) {
        self.0.full.store(full, Ordering::Release);
    }

    /// The runs whose runners are to be started, as they come. They have one taker.
    pub(crate) fn take_launches(&self) -> Option<mpsc::UnboundedReceiver<Launch>> {
        // Taking is one step, so a panic cannot have left it half done.
        self.0.launching.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Issues whose run has pushed. They have one taker.
    pub(crate) fn take_pushes(&self) -> Option<mpsc::UnboundedReceiver<IssueId>> {
        self.0.pushed.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(crate) async fn dispatch_wanted(&self) {
        self.0.dispatch.notified().await;
    }

    /// Waits until the coordinator may have to be told something.
    pub(crate) async fn report_wanted(&self) {
        self.0.reports.notified().await;
    }

    pub(crate) fn places(&self) -> &Mutex<()> {
        &self.0.places
    }

    pub(crate) fn naming(&self) -> &Mutex<()> {
        &self.0.naming
    }

    /// Whether this repository is stored just like this.
    pub(crate) fn remembers(&self, repo: &Repo) -> bool {
        self.seen().contains(&(repo.name.clone(), repo.source.clone()))
    }

    /// The repository is stored now.
    pub(crate) fn remember(&self, repo: &Repo) {
        let mut seen = self.seen();
        if seen.len() >= SEEN_MAX {
            seen.clear();
        }
        seen.insert((repo.name.clone(), repo.source.clone()));
    }

    fn seen(&self) -> MutexGuard<'_, HashSet<(RepoRef, String)>> {
        // Every change is one call, so a panic cannot have left it half changed.
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The limits of a run that begins now.
    pub fn limits(&self) -> Limits {
        let settings = self.0.parts.settings.borrow();
        Limits { timeout_seconds: settings.run_timeout.as_secs(), silence_seconds: settings.run_silence.as_secs() }
    }

    /// Moves an issue by an event and carries out what follows from it.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was stored then.
    pub async fn apply(&self, issue: IssueId, event: Event) -> Result<Issue, StoreError> {
        let applied = self.store().apply(issue, event, now()).await?;
        self.carry_out(&applied);
        Ok(applied.issue)
    }

    /// Carries out the effects of a step that was stored.
    pub(crate) fn carry_out(&self, applied: &Applied) {
        self.carry_out_with(applied, Self::wake_dispatcher);
    }

    /// As [`carry_out`](Self::carry_out), for a step that queued a task: one that needs a place is no reason to look while
    /// all are taken.
    pub(crate) fn carry_out_queued(&self, applied: &Applied, kind: TaskKind) {
        match kind.needs_slot() {
            true => self.carry_out_with(applied, Self::place_wanted),
            false => self.carry_out(applied),
        }
    }

    fn carry_out_with(&self, applied: &Applied, dispatch: fn(&Self)) {
        if applied.wakes_scheduler {
            dispatch(self);
        }
        for effect in &applied.effects {
            match *effect {
                Effect::CancelRun { run } => self.runners().tell(run, RunnerControl::Cancel),
                Effect::FindPullRequest { .. } => {
                    // A closed channel means that the daemon is stopping.
                    let _ = self.0.pushes.send(applied.issue.id);
                }
                Effect::Report { .. } => self.0.reports.notify_one(),
                Effect::Run(lease) => {
                    if self.0.launches.send((applied.issue.clone(), lease)).is_err() {
                        // The daemon is ending; the next one finds the run without a runner.
                        tracing::warn!(run = %lease.run, "a runner is not started any more");
                    }
                }
                // The caller that requested the removal carries it out and waits for its result.
                Effect::RemoveFiles { .. } => {}
            }
        }
    }

    /// The run is over for everybody who follows it.
    pub(crate) fn run_is_over(&self, run: RunId) {
        self.runners().forget(run);
    }
}

/// The time, read in one place.
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}
