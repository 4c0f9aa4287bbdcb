//! The handle to the engine: everything that lives as long as the daemon. The other files take it by reference.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, OnceLock, PoisonError};

use futures::future::BoxFuture;
use jiff::Timestamp;
use kugetsu_api::home::{Home, RunHome};
use kugetsu_api::run_spec::{Limits as RunLimits, RunSecrets};
use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::{IssueId, RunId};
use kugetsu_domain::issue::Issue;
use kugetsu_domain::reference::{IssueRef, RepoRef};
use kugetsu_domain::schedule::Stall;
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::http::limits::Limits;
use kugetsu_forge::http::transport::Transport;
use kugetsu_forge::webhook::delivery::HookKey;
use kugetsu_git::command::Git;
use kugetsu_store::error::StoreError;
use kugetsu_store::store::Store;
use kugetsu_store::view::Repo;
use tokio::sync::{Mutex, Notify, watch};

use crate::clock::Clock;
use crate::connections::RunnerConnections;
use crate::headroom::{Latest, Measure, Unmeasured};
use crate::hook_key::read_or_make_key;
use crate::reported::{Notices, ReportTimes};
use crate::settings::{EnvFiles, Settings};
use crate::sizes::Sizes;
use crate::turns::{Looks, Turns};
use crate::watches::RepoFiles;

/// Starts the runner of a run, which keeps the lock for as long as it lives, and hands it the secrets. The future ends with
/// the runner and returns what is known about its end, for people.
pub type StartRunner = dyn Fn(&RunHome, File, RunSecrets) -> io::Result<BoxFuture<'static, String>> + Send + Sync;

/// Everything an engine is made of.
pub struct Parts {
    pub home: Home,
    pub store: Store,
    /// The settings, as they change.
    pub settings: watch::Receiver<Arc<Settings>>,
    /// Reads the env files, again for each run.
    pub env_files: EnvFiles,
    pub git: Git,
    pub clock: Clock,
    pub start_runner: Arc<StartRunner>,
    /// Of the conversation with forges.
    pub forge_limits: Limits,
    /// Measures what the machine has left.
    pub measure: Arc<Measure>,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("home", &self.home).finish_non_exhaustive()
    }
}

/// The engine. Clones share it.
#[derive(Clone, Debug)]
pub struct Engine(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    parts: Parts,
    runners: RunnerConnections,
    /// The runs of which a request was refused, so that each is logged once.
    refused: StdMutex<HashSet<RunId>>,
    /// Created on first use, since most requests need no forge.
    transport: OnceLock<Transport>,
    /// Held from counting the free slots to queueing a task, by a caller that would rather not queue.
    slots: Mutex<()>,
    /// Held while a local repository is given its name.
    naming: Mutex<()>,
    /// Held while an agent lists its models: there is one directory for it.
    listing: Mutex<()>,
    /// The numbers up to which something in the home is that of an issue of a repository, as far as they were looked for.
    used_numbers: StdMutex<HashMap<RepoRef, u64>>,
    /// Repositories that are known to be stored, so that a further task for one of them costs no query.
    stored_repos: StdMutex<HashSet<(RepoRef, String)>>,
    /// Held while gc runs or the home is measured.
    collecting: Mutex<()>,
    /// The last measurement of the home.
    home_sizes: StdMutex<Option<Sizes>>,
    /// Held while kugetsu comments on an issue.
    announcements: Turns<IssueId>,
    commands: Turns<IssueRef>,
    /// Held from counting what a watch works on to queueing the task of a further issue.
    starts: Turns<RepoRef>,
    /// Held while a pull request of a repository is merged: the next one is looked at with the new base.
    merges: Turns<RepoRef>,
    /// The files of watched repositories that were read.
    repo_files: RepoFiles,
    looks: Looks,
    /// A user requested that effects which failed are tried again.
    retries: Notify,
    headroom: Latest,
    /// Held from reading the holds to claiming tasks.
    claims: Mutex<()>,
    /// Counts the changes of pauses.
    holds: watch::Sender<u64>,
    /// Reports of webhooks that wait.
    notices: Notices,
    report_times: ReportTimes,
    /// The key of the webhooks; read on first use.
    hook_key: StdMutex<Option<HookKey>>,
    /// Why nothing can be stored at the moment.
    trouble: StdMutex<Option<StoreError>>,
    /// When a task began the last time, since the daemon started.
    last_start: StdMutex<Option<Timestamp>>,
    /// Set while work could begin and nothing does.
    stall: StdMutex<Option<Stall>>,
    started_at: Timestamp,
}

/// Maximum number of repositories that are remembered; beyond it the set is emptied.
const STORED_REPOS_MAX: usize = 4096;

/// Maximum number of runs that are remembered; beyond it the set is emptied.
const REFUSED_MAX: usize = 1024;

impl Engine {
    /// Returns an engine that does nothing yet; [`crate::serve_engine`] runs it.
    pub fn new(parts: Parts) -> Self {
        let started_at = parts.clock.now();
        Self(Arc::new(Inner {
            parts,
            runners: RunnerConnections::default(),
            refused: StdMutex::default(),
            transport: OnceLock::new(),
            slots: Mutex::new(()),
            naming: Mutex::new(()),
            listing: Mutex::new(()),
            used_numbers: StdMutex::default(),
            stored_repos: StdMutex::default(),
            collecting: Mutex::new(()),
            home_sizes: StdMutex::default(),
            announcements: Turns::default(),
            commands: Turns::default(),
            starts: Turns::default(),
            merges: Turns::default(),
            repo_files: RepoFiles::default(),
            looks: Looks::default(),
            retries: Notify::new(),
            headroom: Latest::default(),
            claims: Mutex::new(()),
            holds: watch::Sender::new(0),
            notices: Notices::default(),
            report_times: ReportTimes::default(),
            hook_key: StdMutex::default(),
            trouble: StdMutex::default(),
            last_start: StdMutex::default(),
            stall: StdMutex::default(),
            started_at,
        }))
    }

    pub fn home(&self) -> &Home {
        &self.0.parts.home
    }

    pub fn store(&self) -> &Store {
        &self.0.parts.store
    }

    pub fn git(&self) -> &Git {
        &self.0.parts.git
    }

    /// The settings in effect.
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.0.parts.settings.borrow())
    }

    /// Follows the settings.
    pub fn settings_changes(&self) -> watch::Receiver<Arc<Settings>> {
        self.0.parts.settings.clone()
    }

    pub fn clock(&self) -> &Clock {
        &self.0.parts.clock
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock().now()
    }

    pub(crate) fn env_files(&self) -> &EnvFiles {
        &self.0.parts.env_files
    }

    pub(crate) fn start_runner(&self) -> &StartRunner {
        &*self.0.parts.start_runner
    }

    pub fn runners(&self) -> &RunnerConnections {
        &self.0.runners
    }

    /// Whether no request of a process of this run was refused before.
    pub(crate) fn is_first_refusal(&self, run: RunId) -> bool {
        let mut refused = self.0.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.len() >= REFUSED_MAX {
            refused.clear();
        }
        refused.insert(run)
    }

    /// Why nothing can be stored at the moment: what is shown may not be true any more.
    pub fn trouble(&self) -> Option<StoreError> {
        self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_trouble(&self, trouble: Option<StoreError>) {
        *self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    pub(crate) fn last_start(&self) -> Option<Timestamp> {
        *self.0.last_start.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note that a task begins now.
    pub(crate) fn note_start(&self) {
        *self.0.last_start.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.now());
    }

    /// Work that could begin, while nothing has for the time of `queue.stall_alarm`.
    pub fn stall(&self) -> Option<Stall> {
        self.0.stall.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_stall(&self, stall: Option<Stall>) {
        *self.0.stall.lock().unwrap_or_else(PoisonError::into_inner) = stall;
    }

    pub(crate) fn listing(&self) -> &Mutex<()> {
        &self.0.listing
    }

    pub(crate) fn collecting(&self) -> &Mutex<()> {
        &self.0.collecting
    }

    pub(crate) fn merges(&self) -> &Turns<RepoRef> {
        &self.0.merges
    }

    pub(crate) fn commands(&self) -> &Turns<IssueRef> {
        &self.0.commands
    }

    pub(crate) fn starts(&self) -> &Turns<RepoRef> {
        &self.0.starts
    }

    pub(crate) fn announcements(&self) -> &Turns<IssueId> {
        &self.0.announcements
    }

    pub(crate) fn repo_files(&self) -> &RepoFiles {
        &self.0.repo_files
    }

    pub(crate) fn looks(&self) -> &Looks {
        &self.0.looks
    }

    /// Makes the main loop execute at once what waits for another attempt.
    pub(crate) fn retry_effects(&self) {
        self.0.retries.notify_one();
    }

    /// Waits until a user requests [`retry_effects`](Self::retry_effects).
    pub(crate) async fn retries(&self) {
        self.0.retries.notified().await;
    }

    pub(crate) fn measure(&self) -> Arc<Measure> {
        Arc::clone(&self.0.parts.measure)
    }

    pub(crate) fn headroom(&self) -> &Latest {
        &self.0.headroom
    }

    /// Floors that could not be compared because the measurement failed. What is left counts as enough.
    pub fn unmeasured(&self) -> Vec<Unmeasured> {
        self.headroom().unmeasured()
    }

    pub(crate) fn claims(&self) -> &Mutex<()> {
        &self.0.claims
    }

    /// Wakes everything that waits for the end of a hold.
    pub(crate) fn holds_changed(&self) {
        self.0.holds.send_modify(|changes| *changes += 1);
    }

    /// Follows the changes of holds.
    pub(crate) fn hold_changes(&self) -> watch::Receiver<u64> {
        self.0.holds.subscribe()
    }

    pub(crate) fn notices(&self) -> &Notices {
        &self.0.notices
    }

    pub(crate) fn report_times(&self) -> &ReportTimes {
        &self.0.report_times
    }

    /// # Errors
    /// Its file cannot be read or written.
    pub(crate) fn hook_key(&self) -> io::Result<HookKey> {
        let mut known = self.0.hook_key.lock().unwrap_or_else(PoisonError::into_inner);
        let key = match known.take() {
            Some(key) => key,
            None => read_or_make_key(&self.home().hook_key())?,
        };
        *known = Some(key.clone());
        Ok(key)
    }

    /// The last measurement of the home.
    pub(crate) fn home_sizes(&self) -> Option<Sizes> {
        self.0.home_sizes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_home_sizes(&self, sizes: Sizes) {
        *self.0.home_sizes.lock().unwrap_or_else(PoisonError::into_inner) = Some(sizes);
    }

    pub fn started_at(&self) -> Timestamp {
        self.0.started_at
    }

    /// Returns the connections to forges.
    ///
    /// # Errors
    /// The system has no certificates to verify a server with.
    pub(crate) fn transport(&self) -> Result<Transport, ForgeError> {
        if let Some(transport) = self.0.transport.get() {
            return Ok(transport.clone());
        }
        let transport = Transport::new(self.0.parts.forge_limits.clone())?;
        Ok(self.0.transport.get_or_init(|| transport).clone())
    }

    pub(crate) fn slots(&self) -> &Mutex<()> {
        &self.0.slots
    }

    pub(crate) fn naming(&self) -> &Mutex<()> {
        &self.0.naming
    }

    pub(crate) fn used_numbers(&self) -> MutexGuard<'_, HashMap<RepoRef, u64>> {
        // Every change is one call, so a panic cannot have left one half done.
        self.0.used_numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the repository is known to be stored with this source.
    pub(crate) fn is_repo_stored(&self, repo: &Repo) -> bool {
        self.stored_repos().contains(&(repo.name.clone(), repo.source.clone()))
    }

    pub(crate) fn repo_was_stored(&self, repo: &Repo) {
        let mut stored = self.stored_repos();
        if stored.len() >= STORED_REPOS_MAX {
            stored.clear();
        }
        stored.insert((repo.name.clone(), repo.source.clone()));
    }

    fn stored_repos(&self) -> MutexGuard<'_, HashSet<(RepoRef, String)>> {
        // Every change is one call, so a panic cannot have left one half done.
        self.0.stored_repos.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The limits of a run that starts now.
    pub fn limits(&self) -> RunLimits {
        let settings = self.0.parts.settings.borrow();
        RunLimits {
            timeout_seconds: settings.run.timeout.as_secs(),
            silence_seconds: settings.run.silence.as_secs(),
            max_repeats: settings.run.max_repeats,
        }
    }

    /// Moves an issue by an event. Its effects are stored with it; the main loop executes them.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was stored.
    pub async fn apply(&self, issue: IssueId, event: Event) -> Result<Issue, StoreError> {
        Ok(self.store().apply(issue, event, self.now()).await?.issue)
    }
}
