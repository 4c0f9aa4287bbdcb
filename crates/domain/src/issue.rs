//! An issue with its live tasks and run: the unit that the state machine moves.

use jiff::Timestamp;

use crate::ids::{IssueId, RunId, TaskId};
use crate::machine::{Machine, Transition, Trigger};
use crate::pull_request::{PrLink, PrOrigin, PrState};
use crate::reference::IssueRef;
use crate::run::Run;
use crate::session::Session;
use crate::task::Task;
use crate::watch::follow::Follow;

/// State of an issue in kugetsu. Its state on the forge is independent of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IssueState {
    Open,
    /// Its files and its session are being removed.
    Destroying,
    /// Its files and its session are removed; a rescue holds what was not pushed.
    Destroyed,
}

impl Machine for IssueState {
    const THING: &'static str = "issue";

    const STATES: &'static [Self] = &[Self::Open, Self::Destroying, Self::Destroyed];

    const TABLE: &'static [Transition<Self>] = &[
        Transition { from: None, on: Trigger::Queued, to: Self::Open, description: "Its first task creates it." },
        Transition {
            from: None,
            on: Trigger::Adopted,
            to: Self::Open,
            description: "`init` imports work that began before kugetsu.",
        },
        Transition {
            from: Some(Self::Open),
            on: Trigger::Queued,
            to: Self::Open,
            description: "Another task is added; tasks of one issue run one after the other.",
        },
        Transition {
            from: Some(Self::Open),
            on: Trigger::DestroyRequested,
            to: Self::Destroying,
            description: "No run is in progress; its state is rescued, then its files and its session are removed.",
        },
        Transition {
            from: Some(Self::Destroying),
            on: Trigger::DestroyFailed,
            to: Self::Open,
            description: "Something could not be rescued or removed; everything that is left stays.",
        },
        Transition {
            from: Some(Self::Destroying),
            on: Trigger::Destroyed,
            to: Self::Destroyed,
            description: "Its files and its session are removed.",
        },
        Transition {
            from: Some(Self::Destroyed),
            on: Trigger::Queued,
            to: Self::Open,
            description: "It is started afresh, from the server's state.",
        },
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Destroying => "destroying",
            Self::Destroyed => "destroyed",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::Open => "kugetsu works on it, or has and may again.",
            Self::Destroying => "Its files and its session are being removed.",
            Self::Destroyed => "Its files and its session are removed; a rescue holds what was not pushed.",
        }
    }

    fn is_final(self) -> bool {
        matches!(self, Self::Destroyed)
    }
}

/// An issue's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worktree {
    /// Name of the directory in the home's `worktrees`.
    pub directory: String,
    /// The branch that is pushed.
    pub branch: String,
    /// The branch it started from, where there was one.
    pub base_branch: Option<String>,
    /// The commit it started from; `None` in a repository without commits.
    pub base_sha: Option<String>,
}

/// An issue with its live tasks and run.
#[derive(Clone, Debug, PartialEq)]
pub struct Issue {
    pub id: IssueId,
    pub reference: IssueRef,
    pub state: IssueState,
    /// The first line of its first task, or its title on the forge.
    pub title: String,
    /// `None` before the first run has created it, and after the issue was destroyed.
    pub worktree: Option<Worktree>,
    /// `None` before the first run has opened one.
    pub session: Option<Session>,
    /// The pull request that the user named or that was found by the branch.
    pub pr: Option<PrLink>,
    /// The commit that kugetsu last pushed to the issue's branch. Kept here because the history of runs is deleted, and kept
    /// when the issue is destroyed: the branch stays on the server.
    pub pushed: Option<String>,
    /// The queued and running tasks, oldest first, and those that the current step ended.
    pub tasks: Vec<Task>,
    /// The run that holds the lease, or that the current step ended.
    pub run: Option<Run>,
    /// `None` unless a watch handed it over.
    pub follow: Option<Follow>,
    /// The fence of the latest lease.
    pub fence: u64,
    /// Number of stored changes. A writer that saw an older version must load the issue again.
    pub version: u64,
    /// When kugetsu first knew of it.
    pub created_at: Timestamp,
}

impl Issue {
    /// A forge answers late, and much may have changed since the request: a pull request that the user named stays, and a
    /// destroyed issue has none.
    pub(crate) fn record_pull_request(&mut self, url: String, state: PrState, now: Timestamp) {
        let origin = match &self.pr {
            Some(pr) if pr.url == url => pr.origin,
            Some(pr) if pr.origin == PrOrigin::Set => return,
            _ if self.state == IssueState::Destroyed => return,
            _ => PrOrigin::Detected,
        };
        self.pr = Some(PrLink { url, origin, checked: Some((state, now)) });
    }

    /// Returns an open issue without tasks.
    pub fn new(id: IssueId, reference: IssueRef, title: String, now: Timestamp) -> Self {
        Self {
            id,
            reference,
            state: IssueState::Open,
            title,
            worktree: None,
            session: None,
            pr: None,
            pushed: None,
            tasks: Vec::new(),
            run: None,
            follow: None,
            fence: 0,
            version: 0,
            created_at: now,
        }
    }

    /// Whether there is something to continue: files, a session or a live task.
    pub fn is_begun(&self) -> bool {
        self.worktree.is_some() || self.session.is_some() || !self.tasks.is_empty()
    }

    /// The run that holds the lease.
    pub fn live_run(&self) -> Option<&Run> {
        self.run.as_ref().filter(|run| !run.state.is_final())
    }

    /// Returns a live task, or one that the current step ended.
    pub fn task(&self, id: TaskId) -> Option<&Task> {
        self.tasks.iter().find(|task| task.id == id)
    }

    /// The task that the live run works on.
    pub fn running_task(&self) -> Option<&Task> {
        self.live_run().and_then(|run| self.task(run.task))
    }

    pub fn lease(&self) -> Option<Lease> {
        self.live_run().map(|run| Lease { issue: self.id, run: run.id, fence: run.fence })
    }
}

/// The right to act on an issue. A report with another lease than the live run's is refused as stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    pub issue: IssueId,
    pub run: RunId,
    /// Grows by one with each lease on the issue.
    pub fence: u64,
}
