//! An issue with all that is alive on it: what the state machine moves as one thing.

use jiff::Timestamp;

use crate::change::ChangeOf;
use crate::ids::{IssueId, RunId, TaskId};
use crate::machine::{Machine, Transition, Trigger};
use crate::reference::IssueRef;
use crate::run::Run;
use crate::session::Session;
use crate::task::Task;

/// Where an issue stands with kugetsu (its state on the server is another matter).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IssueState {
    /// kugetsu works on it or may do so again.
    Open,
    /// Its files and its session are being removed.
    Destroying,
    /// Its files and its session are gone; what was not pushed is in rescue.
    Destroyed,
}

impl Machine for IssueState {
    const THING: &'static str = "issue";

    const STATES: &'static [Self] = &[Self::Open, Self::Destroying, Self::Destroyed];

    const TABLE: &'static [Transition<Self>] = &[
        Transition { from: None, on: Trigger::Queued, to: Self::Open, says: "Its first task makes it known." },
        Transition {
            from: None,
            on: Trigger::Adopted,
            to: Self::Open,
            says: "`init` takes over what was begun on it before kugetsu.",
        },
        Transition {
            from: Some(Self::Open),
            on: Trigger::Queued,
            to: Self::Open,
            says: "Another task for it; tasks of one issue run one after the other.",
        },
        Transition {
            from: Some(Self::Open),
            on: Trigger::DestroyAsked,
            to: Self::Destroying,
            says: "Nothing runs on it; its state is rescued, then its files and its session are removed.",
        },
        Transition {
            from: Some(Self::Destroying),
            on: Trigger::DestroyFailed,
            to: Self::Open,
            says: "Something could not be rescued or removed; everything that is left stays.",
        },
        Transition {
            from: Some(Self::Destroying),
            on: Trigger::Destroyed,
            to: Self::Destroyed,
            says: "Files and session are gone.",
        },
        Transition {
            from: Some(Self::Destroyed),
            on: Trigger::Queued,
            to: Self::Open,
            says: "It is started afresh, from the server's state.",
        },
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Destroying => "destroying",
            Self::Destroyed => "destroyed",
        }
    }

    fn says(self) -> &'static str {
        match self {
            Self::Open => "kugetsu works on it or may do so again.",
            Self::Destroying => "Its files and its session are being removed.",
            Self::Destroyed => "Its files and its session are gone; what was not pushed is in rescue.",
        }
    }

    fn is_final(self) -> bool {
        matches!(self, Self::Destroyed)
    }
}

/// An issue's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worktree {
    /// The directory's name below the home's `worktrees`.
    pub directory: String,
    /// The branch that the work is pushed to.
    pub branch: String,
    /// The branch it began from, where there was one.
    pub base_branch: Option<String>,
    /// The commit it began from; `None` in a repository that had no commit.
    pub base_sha: Option<String>,
}

/// An issue and everything that is alive on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Issue {
    /// Its identifier.
    pub id: IssueId,
    /// What people call it.
    pub reference: IssueRef,
    /// Where it stands.
    pub state: IssueState,
    /// The first line of its first task, or its title on the server.
    pub title: String,
    /// Its files, once they were made.
    pub worktree: Option<Worktree>,
    /// The agent's conversation, once there was one.
    pub session: Option<Session>,
    /// The pull or merge request, where somebody named it or it was found.
    pub change: Option<ChangeOf>,
    /// Its tasks that are not ended, oldest first, and those that the present step ended.
    pub tasks: Vec<Task>,
    /// The run that holds the lease, or that the present step ended.
    pub run: Option<Run>,
    /// The fence that the latest lease got.
    pub fence: u64,
    /// Counts the stored changes: a writer that saw an older one must look again.
    pub version: u64,
    /// When kugetsu first heard of it.
    pub created_at: Timestamp,
}

impl Issue {
    /// An issue that nobody has asked anything about yet.
    pub fn new(id: IssueId, reference: IssueRef, title: String, now: Timestamp) -> Self {
        Self {
            id,
            reference,
            state: IssueState::Open,
            title,
            worktree: None,
            session: None,
            change: None,
            tasks: Vec::new(),
            run: None,
            fence: 0,
            version: 0,
            created_at: now,
        }
    }

    /// Whether there is something of it to go on with: files, a session, or a task that is alive.
    pub fn is_begun(&self) -> bool {
        self.worktree.is_some() || self.session.is_some() || !self.tasks.is_empty()
    }

    /// The run that is going on.
    pub fn live_run(&self) -> Option<&Run> {
        self.run.as_ref().filter(|run| !run.state.is_final())
    }

    /// The task with this identifier, if it is alive.
    pub fn task(&self, id: TaskId) -> Option<&Task> {
        self.tasks.iter().find(|task| task.id == id)
    }

    /// The task that the live run works on.
    pub fn running_task(&self) -> Option<&Task> {
        self.live_run().and_then(|run| self.task(run.task))
    }

    /// The lease that the live run holds.
    pub fn lease(&self) -> Option<Lease> {
        self.live_run().map(|run| Lease { issue: self.id, run: run.id, fence: run.fence })
    }
}

/// Who may act on an issue now. A report that carries another lease than the live run's is refused as stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The issue.
    pub issue: IssueId,
    /// The run that holds it.
    pub run: RunId,
    /// A number that only grows with each lease on the issue.
    pub fence: u64,
}
