//! What to read.

use jiff::Timestamp;
use kugetsu_domain::ids::{IssueId, RunId, TaskId};
use kugetsu_domain::issue::Issue;
use kugetsu_domain::reference::{IssueRef, RepoRef};
use kugetsu_domain::schedule::Candidate;

use crate::view::RunView;

#[derive(Clone, Debug)]
pub enum IssueFilter {
    Id(IssueId),
    Reference(IssueRef),
    /// The agent's id of its current session.
    Session(String),
    /// The name of its worktree's directory.
    Directory(String),
    /// It has, or had, this run.
    Run(RunId),
    /// A run of it is live.
    Running,
    /// Its removal has not finished.
    Destroying,
    /// It is open and belongs to this repository.
    OpenIn(RepoRef),
    /// It is open and has this number, in any repository. The coordinator does not count.
    Numbered(u64),
}

impl From<IssueId> for IssueFilter {
    fn from(id: IssueId) -> Self {
        Self::Id(id)
    }
}

impl From<&IssueRef> for IssueFilter {
    fn from(reference: &IssueRef) -> Self {
        Self::Reference(reference.clone())
    }
}

impl From<RunId> for IssueFilter {
    fn from(run: RunId) -> Self {
        Self::Run(run)
    }
}

/// The newest issues that match a filter, with their live tasks and runs.
#[derive(Clone, Debug, PartialEq)]
pub struct IssuePage {
    /// Newest first, without damaged ones.
    pub issues: Vec<Issue>,
    /// Number of issues that match.
    pub total: usize,
}

#[derive(Clone, Copy, Debug)]
pub enum ViewFilter {
    Task(TaskId),
    /// The running or else latest task of this issue.
    Issue(IssueId),
    /// The running or else latest task of every issue except the coordinator.
    Issues,
    /// The tasks of this issue.
    TasksOf(IssueId),
    /// The tasks of the same issue queued before this one.
    Before(TaskId),
    /// The tasks delegated during this task of the coordinator, and the reports on them.
    DelegatedBy(TaskId),
    /// Queued and running tasks.
    Live,
    All,
}

impl From<TaskId> for ViewFilter {
    fn from(task: TaskId) -> Self {
        Self::Task(task)
    }
}

impl From<IssueId> for ViewFilter {
    fn from(issue: IssueId) -> Self {
        Self::Issue(issue)
    }
}

/// A page of tasks, newest first.
#[derive(Clone, Copy, Debug)]
pub struct ViewQuery {
    pub filter: ViewFilter,
    /// [`ViewPage::next`] of the previous page.
    pub before: Option<i64>,
    pub limit: Option<u32>,
    /// Whether the tasks have their messages, each of which may be a megabyte.
    pub with_messages: bool,
}

impl ViewQuery {
    /// Returns a query for all tasks that match, without their messages.
    pub const fn new(filter: ViewFilter) -> Self {
        Self { filter, before: None, limit: None, with_messages: false }
    }

    #[must_use]
    pub const fn limit(self, limit: u32) -> Self {
        Self { limit: Some(limit), ..self }
    }

    #[must_use]
    pub const fn before(self, next: Option<i64>) -> Self {
        Self { before: next, ..self }
    }

    #[must_use]
    pub const fn with_messages(self) -> Self {
        Self { with_messages: true, ..self }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct ViewPage {
    /// Newest first, without damaged ones.
    pub views: Vec<RunView>,
    /// Where the next page begins; `None` if this one is the last.
    pub next: Option<i64>,
}

/// Runs of an issue, newest first.
#[derive(Clone, Copy, Debug)]
pub struct RunQuery {
    pub issue: IssueId,
    /// Only runs with a smaller fence.
    pub below_fence: Option<u64>,
    /// Only runs that pushed.
    pub pushed: bool,
    /// Only runs that did not end before this time.
    pub since: Option<Timestamp>,
    pub limit: Option<u32>,
}

impl RunQuery {
    /// Returns a query for all runs of the issue.
    pub const fn new(issue: IssueId) -> Self {
        Self { issue, below_fence: None, pushed: false, since: None, limit: None }
    }
}

/// The tasks that can start, and numbers about the others.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Queue {
    /// In the order in which they start.
    pub candidates: Vec<Candidate>,
    /// Number of live runs.
    pub running: usize,
    /// Number of live runs that need a slot.
    pub slots_in_use: usize,
    /// Number of queued tasks.
    pub queued: u64,
    /// Number of queued tasks of the coordinator.
    pub coordinator_queued: u64,
}
