//! What is read back: repositories, runs as people see them, events.

use jiff::Timestamp;
use kugetsu_domain::ids::{IssueId, RunId, TaskId};
use kugetsu_domain::issue::{Issue, IssueState, Worktree};
use kugetsu_domain::pull_request::PrLink;
use kugetsu_domain::reference::{ForgeKind, IssueRef, RepoRef};
use kugetsu_domain::run::{Run, Usage};
use kugetsu_domain::task::Task;

/// A repository that kugetsu knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repo {
    /// What it is called.
    pub name: RepoRef,
    /// Which program serves it, if that is known.
    pub kind: Option<ForgeKind>,
    /// Where git clones from and pushes to: an address or a path.
    pub source: String,
}

/// A task with its issue and its latest run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunView {
    /// The issue.
    pub issue: IssueId,
    /// What people call it.
    pub reference: IssueRef,
    /// Where it stands.
    pub issue_state: IssueState,
    /// Its title.
    pub title: String,
    /// Its files, while there are some.
    pub worktree: Option<Worktree>,
    /// The pull or merge request, where there is one.
    pub pr: Option<PrLink>,
    /// Its session, as the issue has it now.
    pub session: Option<String>,
    /// The task.
    pub task: Task,
    /// The task's latest run.
    pub run: Option<Run>,
}

/// A task that the coordinator asked for, or a report to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// The task.
    pub view: RunView,
    /// Whether nothing more comes of it by itself: it has ended, or it waits for something that ended otherwise than
    /// `done`. Never of a report.
    pub is_settled: bool,
}

impl RunView {
    /// A task of an issue, with its latest run.
    pub fn new(issue: Issue, task: Task, run: Option<Run>) -> Self {
        Self {
            issue: issue.id,
            reference: issue.reference,
            issue_state: issue.state,
            title: issue.title,
            worktree: issue.worktree,
            pr: issue.pr,
            session: issue.session.map(|session| session.id),
            task,
            run,
        }
    }

    /// What the run used.
    pub fn usage(&self) -> Usage {
        self.run.as_ref().and_then(|run| run.outcome.as_ref()).map(|outcome| outcome.usage).unwrap_or_default()
    }
}

/// A fact as it stands in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredEvent {
    /// Its number; grows by one with each event.
    pub seq: i64,
    /// When it was stored.
    pub at: Timestamp,
    /// The issue it is about.
    pub issue: IssueId,
    /// The task it is about.
    pub task: Option<TaskId>,
    /// The run it is about.
    pub run: Option<RunId>,
    /// The event's name.
    pub kind: String,
    /// What it says besides, as JSON.
    pub data: serde_json::Value,
}
