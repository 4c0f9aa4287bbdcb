//! Writes and their results.

use jiff::Timestamp;
use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::{IssueId, RunId, TaskId};
use kugetsu_domain::issue::{Issue, Lease};
use kugetsu_domain::task::Task;

use crate::effect::EffectId;
use crate::error::StoreError;
use crate::view::Repo;

/// Condition on the issue under which a task is queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// No task of it is queued or running.
    Idle,
    /// It is known and was not destroyed.
    Continuable,
    /// None: the task is queued behind the others.
    Any,
    /// kugetsu does not know it.
    New,
}

/// A task to queue, with its repository and issue, which are created if they are new.
#[derive(Clone, Debug)]
pub struct Enqueue {
    pub repo: Repo,
    /// The issue's number; `None` takes the repository's next local number.
    pub number: Option<u64>,
    /// Numbers up to this one are not given to a local issue: something in the home has them.
    pub used_numbers: u64,
    /// Identifier of the issue if it is new.
    pub new_issue: IssueId,
    /// Title of the issue if it is new.
    pub title: String,
    /// The pull request, if the caller named one.
    pub pr_url: Option<String>,
    /// The watch that hands the issue over, if it is new.
    pub watch: Option<HandedOver>,
    /// In state queued.
    pub task: Task,
    pub precondition: Precondition,
    /// Whether a live run of the issue is canceled, so that the task comes next.
    pub interrupt: bool,
}

/// The watch that hands an issue over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandedOver {
    /// The name of the watch.
    pub watch: String,
    /// The rule that the issue matches, if that has a limit.
    pub rule: Option<String>,
}

/// Work that was started without kugetsu, to be recorded under a new issue.
#[derive(Clone, Debug)]
pub struct Adopt {
    pub repo: Repo,
    pub number: u64,
    pub new_issue: IssueId,
    pub title: String,
    /// [`Event::Adopted`].
    pub event: Event,
}

impl Adopt {
    pub(crate) fn task(&self) -> Option<TaskId> {
        match &self.event {
            Event::Adopted { task, .. } => Some(task.id),
            _ => None,
        }
    }
}

/// The result of a write.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// The issue after the write, including the tasks and the run that it ended.
    pub issue: Issue,
    /// The same write had been stored before; nothing was changed.
    pub repeated: bool,
}

/// What is stored in the transaction that settles an effect.
#[derive(Clone, Debug, Default)]
pub struct Settlement {
    pub events: Vec<(IssueId, Event)>,
    /// Tasks to queue.
    pub enqueue: Vec<Enqueue>,
    /// The look at a pull request that led to these results. Once another one is due, they are void: that one leads to them again.
    pub look: Option<(IssueId, Timestamp)>,
}

/// Removed history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Number of tasks.
    pub tasks: u64,
    /// Runs whose directories are no longer needed. See [`Store::expired_runs`](crate::store::Store::expired_runs).
    pub runs: Vec<RunId>,
    /// Number of events.
    pub events: u64,
}

#[derive(Clone, Debug)]
pub(crate) enum Write {
    Enqueue {
        enqueue: Box<Enqueue>,
        now: Timestamp,
    },
    Adopt {
        adopt: Box<Adopt>,
        now: Timestamp,
    },
    Apply {
        issue: IssueId,
        event: Box<Event>,
        now: Timestamp,
    },
    /// An event from a runner's report.
    Report {
        lease: Lease,
        event: Box<Event>,
        /// Offset behind the event in the report, in bytes.
        end: u64,
        now: Timestamp,
    },
    /// Removes an effect and stores its results.
    Settle {
        effect: EffectId,
        settlement: Box<Settlement>,
        now: Timestamp,
    },
    /// Counts a failed execution of an effect. It is due again at `due_at`, or given up.
    EffectFailed {
        effect: EffectId,
        due_at: Option<Timestamp>,
        error: String,
    },
}

/// The answer to a write.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    Applied(Box<Applied>),
    /// Why results of an effect no longer fit. It is settled all the same.
    Settled(Vec<StoreError>),
}
