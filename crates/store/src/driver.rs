//! The interface between the store and a database.

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use jiff::Timestamp;
use kugetsu_domain::hold::{Hold, Pause};
use kugetsu_domain::ids::{IssueId, RunId, TaskId};
use kugetsu_domain::issue::Issue;
use kugetsu_domain::model_limit::ModelLimit;
use kugetsu_domain::reference::{IssueRef, RepoRef};
use kugetsu_domain::run::Run;
use tokio::sync::broadcast;

use crate::effect::{ClaimedEffect, Commits, EffectView};
use crate::error::StoreError;
use crate::query::{IssueFilter, Queue, RunQuery, ShownAs, ViewQuery};
use crate::view::{
    AgentRuns, Candidate, HookNews, LiveUsage, Poll, RecentUsage, Repo, RunView, StoredEvent, UsageSum, WatchLoad,
    WatchState,
};
use crate::write::{Answer, Cleaned, Write};

pub(crate) type Reply<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Rows, of which a damaged one is an error, and something about the others.
pub(crate) type Rows<T, Rest> = (Vec<Result<T, StoreError>>, Rest);

/// A database. [`transaction`](crate::transaction) decides what a write does; a driver loads and saves rows.
pub(crate) trait Driver: fmt::Debug + Send + Sync {
    /// Applies a write in a transaction, perhaps together with other writes.
    fn transact(&self, write: Write) -> Reply<'_, Answer>;

    /// See [`Store::claim_effects`](crate::store::Store::claim_effects).
    fn claim_effects(&self, now: Timestamp, limit: usize) -> Reply<'_, Vec<ClaimedEffect>>;

    /// See [`Store::next_effect_due`](crate::store::Store::next_effect_due).
    fn next_effect_due(&self, now: Timestamp) -> Reply<'_, Option<Timestamp>>;

    /// See [`Store::effects_of`](crate::store::Store::effects_of).
    fn effects_of(&self, issue: IssueId) -> Reply<'_, Vec<EffectView>>;

    /// See [`Store::commits`](crate::store::Store::commits).
    fn commits(&self) -> Commits;

    /// See [`Store::close`](crate::store::Store::close).
    fn close(&self) -> Reply<'_, ()>;

    /// See [`Store::clean`](crate::store::Store::clean).
    fn clean(&self, before: Timestamp) -> Reply<'_, Cleaned>;

    /// See [`Store::ended_runs`](crate::store::Store::ended_runs).
    fn ended_runs(&self) -> Reply<'_, Vec<(RunId, Timestamp)>>;

    /// See [`Store::expire_runs`](crate::store::Store::expire_runs).
    fn expire_runs(&self, runs: Vec<RunId>) -> Reply<'_, ()>;

    /// See [`Store::expired_runs`](crate::store::Store::expired_runs).
    fn expired_runs(&self) -> Reply<'_, Vec<RunId>>;

    /// See [`Store::runs_removed`](crate::store::Store::runs_removed).
    fn runs_removed(&self, runs: Vec<RunId>) -> Reply<'_, ()>;

    /// See [`Store::unknown_runs`](crate::store::Store::unknown_runs).
    fn unknown_runs(&self, runs: Vec<RunId>) -> Reply<'_, Vec<RunId>>;

    /// See [`Store::directories`](crate::store::Store::directories).
    fn directories(&self) -> Reply<'_, Vec<(IssueRef, Option<String>)>>;

    /// See [`Store::back_up`](crate::store::Store::back_up).
    fn back_up(&self, to: PathBuf) -> Reply<'_, ()>;

    /// See [`Store::home`](crate::store::Store::home).
    fn home(&self) -> Reply<'_, Option<String>>;

    /// See [`Store::set_source`](crate::store::Store::set_source).
    fn set_source(&self, repo: RepoRef, source: String) -> Reply<'_, ()>;

    /// See [`Store::watch`](crate::store::Store::watch).
    fn watch(&self, repo: RepoRef) -> Reply<'_, WatchState>;

    /// See [`Store::set_poll`](crate::store::Store::set_poll).
    fn set_poll(&self, repo: RepoRef, poll: Poll) -> Reply<'_, ()>;

    /// See [`Store::set_hook`](crate::store::Store::set_hook).
    fn set_hook(&self, repo: RepoRef, news: HookNews, at: Timestamp) -> Reply<'_, ()>;

    /// The candidates of the repository, or one of them.
    fn candidates(&self, repo: RepoRef, issue: Option<u64>) -> Reply<'_, Vec<(u64, Candidate)>>;

    /// See [`Store::watch_load`](crate::store::Store::watch_load).
    fn watch_load(&self, repo: RepoRef) -> Reply<'_, WatchLoad>;

    /// See [`Store::set_candidate`](crate::store::Store::set_candidate).
    fn set_candidate(&self, repo: RepoRef, issue: u64, candidate: Option<Candidate>) -> Reply<'_, ()>;

    /// See [`Store::is_handled`](crate::store::Store::is_handled).
    fn is_handled(&self, server: String, id: String) -> Reply<'_, bool>;

    /// See [`Store::add_handled`](crate::store::Store::add_handled).
    fn add_handled(&self, server: String, id: String, at: Option<Timestamp>, forget: Timestamp) -> Reply<'_, ()>;

    /// See [`Store::set_home`](crate::store::Store::set_home).
    fn set_home(&self, id: String) -> Reply<'_, ()>;

    /// See [`Store::run_key`](crate::store::Store::run_key).
    fn run_key(&self, run: RunId) -> Reply<'_, Option<String>>;

    /// See [`Store::set_run_key`](crate::store::Store::set_run_key).
    fn set_run_key(&self, run: RunId, key: String) -> Reply<'_, ()>;

    /// Returns the newest `limit` issues that match, and the number of issues that match.
    fn issues(&self, filter: IssueFilter, limit: usize) -> Reply<'_, Rows<Issue, usize>>;

    /// Returns a page of tasks and where the next one begins.
    fn views(&self, query: ViewQuery) -> Reply<'_, Rows<RunView, Option<i64>>>;

    /// See [`Store::shown`](crate::store::Store::shown).
    fn shown(&self) -> Reply<'_, Vec<(ShownAs, u64)>>;

    fn runs(&self, query: RunQuery) -> Reply<'_, Vec<Run>>;

    /// Returns at most `slots` candidates that need a slot, and all others, without those that a hold concerns.
    fn queue(&self, slots: usize, holds: Vec<Hold>) -> Reply<'_, Queue>;

    /// See [`Store::agent_runs`](crate::store::Store::agent_runs).
    fn agent_runs(&self, limit: u32) -> Reply<'_, Vec<AgentRuns>>;

    /// See [`Store::model_limits`](crate::store::Store::model_limits).
    fn model_limits(&self) -> Reply<'_, Vec<ModelLimit>>;

    /// See [`Store::resumed_at`](crate::store::Store::resumed_at).
    fn resumed_at(&self, agent: String) -> Reply<'_, Option<Timestamp>>;

    /// See [`Store::resume_agent`](crate::store::Store::resume_agent).
    fn resume_agent(&self, agent: String, at: Timestamp) -> Reply<'_, ()>;

    /// See [`Store::usage_since`](crate::store::Store::usage_since).
    fn usage_since(&self, since: Timestamp) -> Reply<'_, UsageSum>;

    /// See [`Store::usage_of_repos`](crate::store::Store::usage_of_repos).
    fn usage_of_repos(&self) -> Reply<'_, Vec<(RepoRef, UsageSum)>>;

    /// See [`Store::usage_of_issues`](crate::store::Store::usage_of_issues).
    fn usage_of_issues(&self) -> Reply<'_, Vec<(IssueId, UsageSum)>>;

    /// See [`Store::live_usage`](crate::store::Store::live_usage).
    fn live_usage(&self) -> Reply<'_, Vec<LiveUsage>>;

    /// See [`Store::recent_usage`](crate::store::Store::recent_usage).
    fn recent_usage(&self, limit: u32) -> Reply<'_, Vec<RecentUsage>>;

    /// See [`Store::pauses`](crate::store::Store::pauses).
    fn pauses(&self) -> Reply<'_, Vec<Pause>>;

    /// See [`Store::add_pause`](crate::store::Store::add_pause).
    fn add_pause(&self, pause: Pause) -> Reply<'_, ()>;

    /// See [`Store::remove_pause`](crate::store::Store::remove_pause).
    fn remove_pause(&self, repo: Option<RepoRef>) -> Reply<'_, ()>;

    /// See [`Store::queue_position`](crate::store::Store::queue_position).
    fn queue_position(&self, task: TaskId) -> Reply<'_, Option<u64>>;

    /// See [`Store::reports_due`](crate::store::Store::reports_due).
    fn reports_due(&self, coordinator: IssueId) -> Reply<'_, Vec<(TaskId, Timestamp)>>;

    /// Returns which of the tasks delegated during a task of the coordinator are settled.
    fn settled(&self, delegated_by: TaskId) -> Reply<'_, HashSet<TaskId>>;

    /// Returns all repositories, oldest first.
    fn repos(&self) -> Reply<'_, Vec<Repo>>;

    /// See [`Store::events_after`](crate::store::Store::events_after).
    fn events_after(&self, issue: Option<IssueId>, after: i64, limit: u32) -> Reply<'_, Vec<StoredEvent>>;

    /// See [`Store::last_event`](crate::store::Store::last_event).
    fn last_event(&self, issue: Option<IssueId>, before: Option<Timestamp>) -> Reply<'_, i64>;

    /// Subscribes to the events stored from now on.
    fn listen(&self) -> broadcast::Receiver<Arc<StoredEvent>>;

    /// Describes every fault of the database and every damaged row.
    fn check(&self) -> Reply<'_, Vec<String>>;
}
