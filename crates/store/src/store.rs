//! The store's handle: what can be written and what can be read.

use std::sync::Arc;

use jiff::Timestamp;
use kugetsu_domain::effect::Effect;
use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::{IssueId, RunId, TaskId};
use kugetsu_domain::issue::{Issue, Lease};
use kugetsu_domain::reference::{ForgeKind, IssueRef, RepoRef};
use kugetsu_domain::schedule::Candidate;
use kugetsu_domain::task::Task;
use sqlx::sqlite::SqlitePool;
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::error::StoreError;
use crate::sqlite::{damage, delegated, find, read};
use crate::view::{Asked, Repo, RunView, StoredEvent};

/// How many writes may wait before the next caller waits to hand its own over.
const WAITING_WRITES: usize = 1024;
/// How many events a slow listener may lag behind before it has to read them from the log instead.
const LIVE_EVENTS: usize = 1024;

/// What must be true of an issue before a task is queued for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// It has no task that is queued or running.
    Idle,
    /// It was worked on before and was not destroyed.
    Continuable,
    /// Nothing: it waits behind whatever there is.
    InLine,
}

/// A task to be queued, with everything that has to exist for it.
#[derive(Clone, Debug)]
pub struct Enqueue {
    /// The repository; made known if it is new.
    pub repo: Repo,
    /// The issue's number; `None` takes the next local number.
    pub number: Option<u64>,
    /// The identifier that the issue gets if it is new.
    pub new_issue: IssueId,
    /// The issue's title if it is new.
    pub title: String,
    /// The pull or merge request, where the caller named it.
    pub pr_url: Option<String>,
    /// The task, in state queued.
    pub task: Task,
    /// What must be true of the issue.
    pub precondition: Precondition,
}

/// Work that was begun before kugetsu, to be made known.
#[derive(Clone, Debug)]
pub struct Adopt {
    /// The repository; made known if it is new.
    pub repo: Repo,
    /// The issue's number.
    pub number: u64,
    /// The identifier that the issue gets.
    pub new_issue: IssueId,
    /// The issue's title.
    pub title: String,
    /// [`Event::Adopted`].
    pub event: Event,
}

/// What a write changed.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The issue as it is now, with the tasks and the run that the step ended.
    pub issue: Issue,
    /// What is to be done about it.
    pub effects: Vec<Effect>,
    /// Whether a queued task may be able to begin now.
    pub wakes_scheduler: bool,
    /// Whether the same write had been stored before, so that nothing was changed now.
    pub repeated: bool,
}

/// What was removed from the history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// How many tasks.
    pub tasks: u64,
    /// Their runs, whose directories can go too.
    pub runs: Vec<RunId>,
}

/// What the writer is asked, and where its answer goes.
pub(crate) enum Request {
    /// To change something.
    Change(Write, oneshot::Sender<Result<Applied, StoreError>>),
    /// To forget tasks that ended before a time, apart from each issue's latest.
    Clean(Timestamp, oneshot::Sender<Result<Cleaned, StoreError>>),
}

/// What can be written.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    /// Queue a task, making its repository and its issue known.
    Enqueue(Box<Enqueue>, Timestamp),
    /// Make an issue known with what was begun on it, if it is not known.
    Adopt(Box<Adopt>, Timestamp),
    /// Move an issue by an event. `acknowledged` is the new end of the runner's report, in bytes.
    Apply { issue: IssueId, event: Box<Event>, acknowledged: Option<u64>, now: Timestamp },
}

/// The stored facts. Clones share one database.
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

    /// Queues a task. Asking twice with the same task identifier queues it once.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was stored then.
    pub async fn enqueue(&self, enqueue: Enqueue, now: Timestamp) -> Result<Applied, StoreError> {
        self.write(Write::Enqueue(Box::new(enqueue), now)).await
    }

    /// Makes an issue known with what was begun on it before kugetsu. One that is known stays as it is: the answer then
    /// says `repeated`.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was stored then.
    pub async fn adopt(&self, adopt: Adopt, now: Timestamp) -> Result<Applied, StoreError> {
        self.write(Write::Adopt(Box::new(adopt), now)).await
    }

    /// Moves an issue by an event and stores both together.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was stored then.
    pub async fn apply(&self, issue: IssueId, event: Event, now: Timestamp) -> Result<Applied, StoreError> {
        self.write(Write::Apply { issue, event: Box::new(event), acknowledged: None, now }).await
    }

    /// As [`apply`](Self::apply), for a fact from a runner's report that ends at byte `end` of the report. A fact that
    /// was stored before is not stored again: the answer then says `repeated`.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was stored then.
    pub async fn apply_report(
        &self,
        lease: Lease,
        event: Event,
        end: u64,
        now: Timestamp,
    ) -> Result<Applied, StoreError> {
        self.write(Write::Apply { issue: lease.issue, event: Box::new(event), acknowledged: Some(end), now }).await
    }

    /// Listens to events from now on. A listener that lags too far behind is told so and reads the log.
    pub fn listen(&self) -> broadcast::Receiver<Arc<StoredEvent>> {
        self.events.subscribe()
    }

    /// The number of the last event before a time, of one issue or of all; 0 if there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn last_event_before(&self, issue: Option<IssueId>, time: Timestamp) -> Result<i64, StoreError> {
        read::last_event_before(&self.reads, issue, time).await
    }

    /// The events with a number above `after`, oldest first, at most `limit`; of one issue or of all.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn events_after(
        &self,
        issue: Option<IssueId>,
        after: i64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        read::events_after(&self.reads, issue, after, limit).await
    }

    /// The number of the newest event; 0 when there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn last_event(&self) -> Result<i64, StoreError> {
        read::last_event(&self.reads).await
    }

    /// The repository with this name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn repo(&self, repo: &RepoRef) -> Result<Option<Repo>, StoreError> {
        read::repo(&self.reads, repo).await
    }

    /// All repositories.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn repos(&self) -> Result<Vec<Repo>, StoreError> {
        read::repos(&self.reads).await
    }

    /// The issue with this reference, with everything alive on it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn issue(&self, reference: &IssueRef) -> Result<Option<Issue>, StoreError> {
        find::issue(&self.reads, reference).await
    }

    /// The issue with this identifier, with everything alive on it.
    ///
    /// # Errors
    /// [`StoreError::NoSuchIssue`] and the others.
    pub async fn issue_by_id(&self, id: IssueId) -> Result<Issue, StoreError> {
        read::issue_by_id(&self.reads, id).await
    }

    /// The issue whose current session has this identifier.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn issue_by_session(&self, session: &str) -> Result<Option<Issue>, StoreError> {
        find::issue_by_session(&self.reads, session).await
    }

    /// The issue whose worktree has this name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn issue_in(&self, directory: &str) -> Result<Option<Issue>, StoreError> {
        find::issue_in(&self.reads, directory).await
    }

    /// The issues of a repository that were not destroyed, in their order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open_issues(&self, repo: &RepoRef) -> Result<Vec<IssueRef>, StoreError> {
        find::open_issues(&self.reads, repo).await
    }

    /// The issues with this number that were not destroyed, in whatever repository: the newest `limit`, and how many there
    /// are. The coordinator is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn issues_numbered(&self, number: u64, limit: usize) -> Result<(Vec<Issue>, usize), StoreError> {
        find::issues_numbered(&self.reads, number, limit).await
    }

    /// The issue's latest run before the one with this fence, if it was lost: what it left may be half done.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn lost_before(&self, issue: IssueId, fence: u64) -> Result<Option<RunId>, StoreError> {
        find::lost_before(&self.reads, issue, fence).await
    }

    /// The issue that a run belongs to.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn issue_of_run(&self, run: RunId) -> Result<Option<IssueId>, StoreError> {
        read::issue_of_run(&self.reads, run).await
    }

    /// The task with this identifier, whatever its state, and its issue.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn task(&self, id: TaskId) -> Result<Option<(IssueId, Task)>, StoreError> {
        read::task(&self.reads, id).await
    }

    /// How many tasks stand before this queued one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn place_in_line(&self, id: TaskId) -> Result<Option<u64>, StoreError> {
        read::place_in_line(&self.reads, id).await
    }

    /// Queued tasks that could begin now, best first of each kind: at most `places` that need a place, and all others.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn candidates(&self, places: usize) -> Result<Vec<Candidate>, StoreError> {
        read::candidates(&self.reads, places).await
    }

    /// How many runs that need a place are going on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn places_taken(&self) -> Result<usize, StoreError> {
        read::places_taken(&self.reads).await
    }

    /// The coordinator's tasks that are over, and of which everything that was asked for during them is settled, and not
    /// all of it was reported yet; with the time when the last was settled. A report that is queued before that time does
    /// not count.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn reports_due(&self, coordinator: IssueId) -> Result<Vec<(TaskId, Timestamp)>, StoreError> {
        delegated::due(&self.reads, coordinator).await
    }

    /// What was asked for during this task of the coordinator's, and the reports on it, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn asked_by(&self, task: TaskId) -> Result<Vec<Asked>, StoreError> {
        delegated::asked_by(&self.reads, task).await
    }

    /// How many tasks were asked for during this one of the coordinator's.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn asked_count(&self, task: TaskId) -> Result<u64, StoreError> {
        delegated::count(&self.reads, task).await
    }

    /// The issues on which a run is going on. A damaged one is reported and left out.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn running(&self) -> Result<Vec<Issue>, StoreError> {
        read::running(&self.reads).await
    }

    /// The issues whose removal was begun and not ended.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn destroying(&self) -> Result<Vec<IssueId>, StoreError> {
        read::destroying(&self.reads).await
    }

    /// Every issue's latest task, without its message, with its latest run, newest task last.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn latest_runs(&self) -> Result<Vec<RunView>, StoreError> {
        read::latest_runs(&self.reads).await
    }

    /// One issue's latest task with its latest run.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn latest_run(&self, issue: IssueId) -> Result<Option<RunView>, StoreError> {
        read::latest_run(&self.reads, issue).await
    }

    /// One task with its latest run.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn run_of_task(&self, task: TaskId) -> Result<Option<RunView>, StoreError> {
        read::run_of_task(&self.reads, task).await
    }

    /// Tasks in the queue and those that ended, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn queue(&self, ended_too: bool) -> Result<Vec<RunView>, StoreError> {
        read::queue(&self.reads, ended_too).await
    }

    /// The runs of an issue, oldest first, without those that ended before `since`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn runs_of(&self, issue: IssueId, since: Option<Timestamp>) -> Result<Vec<RunId>, StoreError> {
        read::runs_of(&self.reads, issue, since).await
    }

    /// What the tasks of an issue that were queued before this one asked, oldest first: the last `limit` of them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn messages_before(&self, issue: IssueId, task: TaskId, limit: u32) -> Result<Vec<String>, StoreError> {
        read::messages_before(&self.reads, issue, task, limit).await
    }

    /// The repositories that have no server.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn local_repos(&self) -> Result<Vec<Repo>, StoreError> {
        Ok(self.repos().await?.into_iter().filter(|repo| repo.kind == Some(ForgeKind::Local)).collect())
    }

    /// What is wrong with the database file, in the engine's words; empty when nothing is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn check(&self) -> Result<Vec<String>, StoreError> {
        read::check(&self.reads).await
    }

    /// The rows that make no sense, each in words: they are left alone, and everything else goes on. Empty when there are
    /// none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn damaged(&self) -> Result<Vec<String>, StoreError> {
        damage::find(&self.reads).await
    }

    /// Forgets tasks that ended before a time, with their runs, apart from each issue's latest and what a report to the
    /// coordinator still hangs on. Events stay.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was removed then.
    pub async fn clean(&self, before: Timestamp) -> Result<Cleaned, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.writes.send(Request::Clean(before, reply)).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// How many tasks wait.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn queued(&self) -> Result<u64, StoreError> {
        read::queued(&self.reads).await
    }

    /// The head that the issue's latest successful push left on its branch.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn last_pushed(&self, issue: IssueId) -> Result<Option<String>, StoreError> {
        read::last_pushed(&self.reads, issue).await
    }

    async fn write(&self, write: Write) -> Result<Applied, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.writes.send(Request::Change(write, reply)).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}
