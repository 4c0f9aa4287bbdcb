//! The handle through which facts are stored and read.

use std::sync::Arc;

use jiff::Timestamp;
use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::{IssueId, RunId, TaskId};
use kugetsu_domain::issue::{Issue, Lease};
use kugetsu_domain::reference::{ForgeKind, IssueRef, RepoRef};
use kugetsu_domain::schedule::Candidate;
use kugetsu_domain::task::Task;
use sqlx::sqlite::SqlitePool;
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::error::StoreError;
use crate::sqlite::writer::Request;
use crate::sqlite::{damaged_rows, delegated, find, read};
use crate::view::{DelegatedTask, Repo, RunView, StoredEvent};
use crate::write::{Adopt, Applied, Cleaned, Enqueue, Write};

/// Writes that may wait for the writer; a further caller waits until there is room.
const WAITING_WRITES: usize = 1024;
/// Events that a listener may lag behind; a slower one has to read them from the log.
const LIVE_EVENTS: usize = 1024;

/// A handle to the database. Clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    writes: mpsc::Sender<Request>,
    reads: SqlitePool,
    events: broadcast::Sender<Arc<StoredEvent>>,
}

impl Store {
    pub(crate) fn new(reads: SqlitePool) -> (Self, mpsc::Receiver<Request>) {
        let (writes, requests) = mpsc::channel(WAITING_WRITES);
        let (events, _) = broadcast::channel(LIVE_EVENTS);
        (Self { writes, reads, events }, requests)
    }

    pub(crate) fn live_events(&self) -> broadcast::Sender<Arc<StoredEvent>> {
        self.events.clone()
    }

    /// Queues a task. The task identifier makes this idempotent: a second call changes nothing and returns `repeated`.
    pub async fn enqueue(&self, enqueue: Enqueue, now: Timestamp) -> Result<Applied, StoreError> {
        self.write(Write::Enqueue { enqueue: Box::new(enqueue), now }).await
    }

    /// Records an issue together with work started without kugetsu. A known issue is left as it is, with `repeated`.
    pub async fn adopt(&self, adopt: Adopt, now: Timestamp) -> Result<Applied, StoreError> {
        self.write(Write::Adopt { adopt: Box::new(adopt), now }).await
    }

    /// Applies an event to an issue and stores both in one transaction.
    pub async fn apply(&self, issue: IssueId, event: Event, now: Timestamp) -> Result<Applied, StoreError> {
        self.write(Write::Apply { issue, event: Box::new(event), now }).await
    }

    /// As [`apply`](Self::apply), for an event that ends at byte `end` of the runner's report. An event that was stored
    /// before is not stored again, with `repeated`.
    pub async fn apply_report(
        &self,
        lease: Lease,
        event: Event,
        end: u64,
        now: Timestamp,
    ) -> Result<Applied, StoreError> {
        self.write(Write::Report { lease, event: Box::new(event), end, now }).await
    }

    /// Subscribes to the events stored from now on. A listener that lags too far behind gets an error and has to read the
    /// log.
    pub fn listen(&self) -> broadcast::Receiver<Arc<StoredEvent>> {
        self.events.subscribe()
    }

    /// Returns the number of the newest event before `time`, of one issue or of all; 0 if there is none.
    pub async fn last_event_before(&self, issue: Option<IssueId>, time: Timestamp) -> Result<i64, StoreError> {
        read::last_event_before(&self.reads, issue, time).await
    }

    /// Returns at most `limit` events with numbers above `after`, oldest first, of one issue or of all.
    pub async fn events_after(
        &self,
        issue: Option<IssueId>,
        after: i64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        read::events_after(&self.reads, issue, after, limit).await
    }

    /// Returns the number of the newest event; 0 if there is none.
    pub async fn last_event(&self) -> Result<i64, StoreError> {
        read::last_event(&self.reads).await
    }

    pub async fn repo(&self, repo: &RepoRef) -> Result<Option<Repo>, StoreError> {
        read::repo(&self.reads, repo).await
    }

    /// Returns all repositories, oldest first.
    pub async fn repos(&self) -> Result<Vec<Repo>, StoreError> {
        read::repos(&self.reads).await
    }

    /// Returns the issue with its live tasks and run.
    pub async fn issue(&self, reference: &IssueRef) -> Result<Option<Issue>, StoreError> {
        find::issue(&self.reads, reference).await
    }

    /// Returns the issue with its live tasks and run.
    ///
    /// # Errors
    /// [`StoreError::NoSuchIssue`], besides those of the database.
    pub async fn issue_by_id(&self, id: IssueId) -> Result<Issue, StoreError> {
        read::issue_by_id(&self.reads, id).await
    }

    /// Returns the issue whose current session this is.
    pub async fn issue_by_session(&self, session: &str) -> Result<Option<Issue>, StoreError> {
        find::issue_by_session(&self.reads, session).await
    }

    /// Returns the issue whose worktree has this directory name.
    pub async fn issue_by_directory(&self, directory: &str) -> Result<Option<Issue>, StoreError> {
        find::issue_by_directory(&self.reads, directory).await
    }

    /// Returns the open issues of a repository by number.
    pub async fn open_issues(&self, repo: &RepoRef) -> Result<Vec<IssueRef>, StoreError> {
        find::open_issues(&self.reads, repo).await
    }

    /// Returns the newest `limit` open issues with this number in any repository, and how many there are. The coordinator
    /// does not count.
    pub async fn issues_numbered(&self, number: u64, limit: usize) -> Result<(Vec<Issue>, usize), StoreError> {
        find::issues_numbered(&self.reads, number, limit).await
    }

    /// Returns the run before `fence` if it was lost: its work may be incomplete.
    pub async fn lost_run_before(&self, issue: IssueId, fence: u64) -> Result<Option<RunId>, StoreError> {
        find::lost_run_before(&self.reads, issue, fence).await
    }

    pub async fn issue_of_run(&self, run: RunId) -> Result<Option<IssueId>, StoreError> {
        read::issue_of_run(&self.reads, run).await
    }

    /// Returns a task in any state, with its issue.
    pub async fn task(&self, id: TaskId) -> Result<Option<(IssueId, Task)>, StoreError> {
        read::task(&self.reads, id).await
    }

    /// Returns how many tasks are ahead of a queued one; `None` if it is not queued.
    pub async fn queue_position(&self, id: TaskId) -> Result<Option<u64>, StoreError> {
        read::queue_position(&self.reads, id).await
    }

    /// Returns queued tasks that can start now, in order: at most `slots` that need a slot, and all others.
    pub async fn candidates(&self, slots: usize) -> Result<Vec<Candidate>, StoreError> {
        read::candidates(&self.reads, slots).await
    }

    /// Returns the number of live runs that need a slot.
    pub async fn slots_in_use(&self) -> Result<usize, StoreError> {
        read::slots_in_use(&self.reads).await
    }

    /// Returns the coordinator's ended tasks whose delegated tasks are all settled and not yet reported, each with the time
    /// when the last one settled. A report queued before that time does not cover it.
    pub async fn reports_due(&self, coordinator: IssueId) -> Result<Vec<(TaskId, Timestamp)>, StoreError> {
        delegated::due(&self.reads, coordinator).await
    }

    /// Returns the tasks delegated during a task of the coordinator, and the reports on them, oldest first.
    pub async fn delegated_tasks(&self, task: TaskId) -> Result<Vec<DelegatedTask>, StoreError> {
        delegated::tasks(&self.reads, task).await
    }

    /// Returns how many tasks were delegated during a task of the coordinator.
    pub async fn delegated_count(&self, task: TaskId) -> Result<u64, StoreError> {
        delegated::count(&self.reads, task).await
    }

    /// Returns the issues with a live run. Damaged ones are logged and left out.
    pub async fn running(&self) -> Result<Vec<Issue>, StoreError> {
        read::running(&self.reads).await
    }

    /// Returns the issues whose removal has not finished.
    pub async fn destroying(&self) -> Result<Vec<IssueId>, StoreError> {
        read::destroying(&self.reads).await
    }

    /// Returns the latest task of every issue except the coordinator, with its latest run and without its message, oldest
    /// task first.
    pub async fn latest_runs(&self) -> Result<Vec<RunView>, StoreError> {
        read::latest_runs(&self.reads).await
    }

    /// Returns the issue's running or else latest task, with its latest run.
    pub async fn latest_run(&self, issue: IssueId) -> Result<Option<RunView>, StoreError> {
        read::latest_run(&self.reads, issue).await
    }

    /// Returns a task with its latest run.
    pub async fn run_of_task(&self, task: TaskId) -> Result<Option<RunView>, StoreError> {
        read::run_of_task(&self.reads, task).await
    }

    /// Returns the live tasks, or all, oldest first.
    pub async fn queue(&self, ended_too: bool) -> Result<Vec<RunView>, StoreError> {
        read::queue(&self.reads, ended_too).await
    }

    /// Returns the issue's runs, oldest first, without those that ended before `since`.
    pub async fn runs_of(&self, issue: IssueId, since: Option<Timestamp>) -> Result<Vec<RunId>, StoreError> {
        read::runs_of(&self.reads, issue, since).await
    }

    /// Returns the messages of the last `limit` tasks of the issue queued before `task`, oldest first.
    pub async fn earlier_messages(&self, issue: IssueId, task: TaskId, limit: u32) -> Result<Vec<String>, StoreError> {
        read::earlier_messages(&self.reads, issue, task, limit).await
    }

    /// Returns the repositories without a server.
    pub async fn local_repos(&self) -> Result<Vec<Repo>, StoreError> {
        Ok(self.repos().await?.into_iter().filter(|repo| repo.kind == Some(ForgeKind::Local)).collect())
    }

    /// Returns the faults that the database engine finds in the file.
    pub async fn check(&self) -> Result<Vec<String>, StoreError> {
        read::check(&self.reads).await
    }

    /// Describes every row that cannot be read. Such rows are skipped everywhere else.
    pub async fn damaged_rows(&self) -> Result<Vec<String>, StoreError> {
        damaged_rows::find(&self.reads).await
    }

    /// Deletes tasks that ended before a time, with their runs, except each issue's latest and those that a report to the
    /// coordinator still depends on. Events stay.
    pub async fn clean(&self, before: Timestamp) -> Result<Cleaned, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.writes.send(Request::Clean(before, reply)).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Returns the number of queued tasks.
    pub async fn queued(&self) -> Result<u64, StoreError> {
        read::queued(&self.reads).await
    }

    /// Returns the head commit of the issue's latest successful push.
    pub async fn last_pushed(&self, issue: IssueId) -> Result<Option<String>, StoreError> {
        read::last_pushed(&self.reads, issue).await
    }

    async fn write(&self, write: Write) -> Result<Applied, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.writes.send(Request::Change(write, reply)).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}
