//! What to read.

use jiff::Timestamp;
use kugetsu_domain::ids::{IssueId, RunId, TaskId};
use kugetsu_domain::issue::{Issue, IssueState};
use kugetsu_domain::machine::Machine;
use kugetsu_domain::reference::{IssueRef, RepoRef};
use kugetsu_domain::schedule::Candidate;
use kugetsu_domain::task::TaskState;

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

/// How an issue appears in lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShownAs {
    /// By the state of its running or else latest task.
    Task(TaskState),
    Destroyed,
}

impl ShownAs {
    pub const ALL: &'static [Self] = &[
        Self::Task(TaskState::Queued),
        Self::Task(TaskState::Running),
        Self::Task(TaskState::Done),
        Self::Task(TaskState::Blocked),
        Self::Task(TaskState::Failed),
        Self::Task(TaskState::Timeout),
        Self::Task(TaskState::Canceled),
        Self::Destroyed,
    ];

    /// Returns how this issue appears in lists; `None` if it does not. `shown` is the state of its running or else latest
    /// task.
    pub(crate) fn of(issue: &Issue, shown: TaskState) -> Option<Self> {
        match issue.state {
            _ if issue.reference.is_coordinator() => None,
            IssueState::Destroyed => Some(Self::Destroyed),
            IssueState::Open | IssueState::Destroying => Some(Self::Task(shown)),
        }
    }

    /// The name in the database and in requests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Task(state) => state.name(),
            Self::Destroyed => IssueState::Destroyed.name(),
        }
    }

    /// The inverse of [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|shown_as| shown_as.name() == name)
    }
}

#[derive(Clone, Debug)]
pub enum ViewFilter {
    Task(TaskId),
    /// The running or else latest task of this issue.
    Issue(IssueId),
    /// The running or else latest task of every issue that appears as one of these, of one repository or of all. The
    /// coordinator is not listed.
    Issues {
        shown_as: Vec<ShownAs>,
        repo: Option<RepoRef>,
    },
    /// The tasks of this issue.
    TasksOf(IssueId),
    /// The tasks of the same issue queued before this one.
    Before(TaskId),
    /// The tasks delegated during this task of the coordinator, and the reports on them.
    DelegatedBy(TaskId),
    /// Queued and running tasks.
    Live,
    /// Running tasks, and queued ones by priority, as they start. Only the first page; the order is always this one.
    Next,
    All,
}

impl ViewFilter {
    /// The running or else latest task of every issue except the coordinator.
    pub fn all_issues() -> Self {
        Self::Issues { shown_as: ShownAs::ALL.to_vec(), repo: None }
    }
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

/// A page of tasks, by their order of queueing.
#[derive(Clone, Debug)]
pub struct ViewQuery {
    pub filter: ViewFilter,
    pub order: Order,
    /// [`ViewPage::next`] of the previous page.
    pub cursor: Option<i64>,
    pub limit: Option<u32>,
    /// Whether the tasks have their messages, each of which may be a megabyte.
    pub with_messages: bool,
}

impl ViewQuery {
    /// Returns a query for all tasks that match, newest first, without their messages.
    pub fn new(filter: ViewFilter) -> Self {
        Self { filter, order: Order::NewestFirst, cursor: None, limit: None, with_messages: false }
    }

    #[must_use]
    pub fn oldest_first(self) -> Self {
        Self { order: Order::OldestFirst, ..self }
    }

    #[must_use]
    pub fn limit(self, limit: u32) -> Self {
        Self { limit: Some(limit), ..self }
    }

    #[must_use]
    pub fn cursor(self, next: Option<i64>) -> Self {
        Self { cursor: next, ..self }
    }

    #[must_use]
    pub fn with_messages(self) -> Self {
        Self { with_messages: true, ..self }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    NewestFirst,
    OldestFirst,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ViewPage {
    /// In the order of the query, without damaged ones.
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
    /// Only runs that did not end before this time.
    pub since: Option<Timestamp>,
    pub limit: Option<u32>,
}

impl RunQuery {
    /// Returns a query for all runs of the issue.
    pub const fn new(issue: IssueId) -> Self {
        Self { issue, below_fence: None, since: None, limit: None }
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
