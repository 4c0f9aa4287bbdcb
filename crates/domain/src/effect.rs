//! Effects: the consequences of a state change, as data.
//!
//! The store saves effects in the transaction that saves the state and the event that caused them. The engine claims,
//! executes and settles them, or reschedules them. Each is executed at least once, also after a crash, so its execution
//! must be idempotent: the [key](Effect::key) identifies it to everything outside.

use jiff::Timestamp;

use crate::ids::{IssueId, RunId, TaskId};
use crate::issue::{Issue, Lease};
use crate::task::Task;
use crate::watch::feedback::Ending;
use crate::watch::follow::Next;

/// Something the engine has to do because of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Start the runner of this run, wait for its end, and close the run. It is settled when the run is over.
    Run(Lease),
    /// Ask the runner of this run to stop.
    CancelRun { run: RunId },
    /// Rescue what this run left in the worktree: it was lost, and its task is not tried again.
    Rescue { run: RunId },
    /// Rescue the issue's state, then remove its files and its session.
    RemoveFiles {
        /// The issue's version when the removal was requested: an issue can be destroyed more than once.
        version: u64,
    },
    /// Look up the pull request of the branch that this run pushed.
    FindPullRequest { run: RunId },
    /// A task ended: queue a report to the coordinator if everything that one of its messages led to is over.
    Report {
        task: TaskId,
        /// The issue's version when the task ended: a task can be retried.
        version: u64,
    },
    /// Wait for the end of the task's pause, then end it.
    EndPause {
        task: TaskId,
        /// [`Task::not_before`](crate::task::Task::not_before).
        until: Timestamp,
    },
    /// Open the pull request of what this run pushed, or update it.
    Publish { run: RunId },
    /// Write a comment of this run's agent on its issue.
    Comment {
        run: RunId,
        /// Counted from 1 within the run.
        number: u32,
    },
    /// Look at the pull request of a followed issue at this time, and decide what follows.
    Follow {
        /// [`Follow::look_at`](crate::watch::follow::Follow::look_at); another one is void.
        at: Timestamp,
    },
    /// Merge the pull request with the head that was decided on.
    Merge {
        /// The issue's version when that was decided.
        version: u64,
    },
    /// Cancel the merge of a pull request that was left to the server.
    CancelMerge {
        /// The number of the pull request: a destroyed issue has none any more.
        number: u64,
        /// The issue's version when that was decided.
        version: u64,
    },
    /// Bring kugetsu's comment and labels on the server up to date with the issue.
    Announce {
        /// The issue's version when something worth telling happened.
        version: u64,
    },
    /// Write the agent's answer to a person's question on the server.
    Answer {
        task: TaskId,
        /// The issue's version when the task ended: a task can be retried.
        version: u64,
    },
    /// Clean up after the end of the pull request.
    Complete { ending: Ending },
}

/// Declares the kinds together with their list, so that none is missing there.
macro_rules! kinds {
    ($($kind:ident = $name:literal),+ $(,)?) => {
        /// The kind of an effect, without its data.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum EffectKind {
            $($kind),+
        }

        impl EffectKind {
            pub const ALL: &[Self] = &[$(Self::$kind),+];

            /// The name under which effects of this kind are stored.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name),+
                }
            }
        }
    };
}

kinds! {
    Run = "run",
    CancelRun = "cancel_run",
    Rescue = "rescue",
    RemoveFiles = "remove_files",
    FindPullRequest = "find_pull_request",
    Report = "report",
    EndPause = "end_pause",
    Publish = "publish",
    Comment = "comment",
    Follow = "follow",
    Merge = "merge",
    CancelMerge = "cancel_merge",
    Announce = "announce",
    Answer = "answer",
    Complete = "complete",
}

impl EffectKind {
    /// Returns the kind with this name; `None` if this version of kugetsu has none.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

impl From<Next> for Effect {
    fn from(next: Next) -> Self {
        match next {
            Next::Look { at } => Self::Follow { at },
            Next::Publish { run } => Self::Publish { run },
            Next::Complete { ending } => Self::Complete { ending },
        }
    }
}

impl Effect {
    /// The effects that report the end of a task.
    pub(crate) fn reports(task: &Task, version: u64) -> Vec<Self> {
        let answer = task.answer_on.map(|_| Self::Answer { task: task.id, version });
        [Self::Report { task: task.id, version }].into_iter().chain(answer).collect()
    }

    /// Cancels the merge that was left to the server.
    pub(crate) fn cancel_merge(issue: &Issue) -> Option<Self> {
        let scheduled = issue.follow.as_ref()?.scheduled.as_ref()?;
        Some(Self::CancelMerge { number: scheduled.number, version: issue.version })
    }

    pub const fn kind(&self) -> EffectKind {
        match self {
            Self::Run(_) => EffectKind::Run,
            Self::CancelRun { .. } => EffectKind::CancelRun,
            Self::Rescue { .. } => EffectKind::Rescue,
            Self::RemoveFiles { .. } => EffectKind::RemoveFiles,
            Self::FindPullRequest { .. } => EffectKind::FindPullRequest,
            Self::Report { .. } => EffectKind::Report,
            Self::EndPause { .. } => EffectKind::EndPause,
            Self::Publish { .. } => EffectKind::Publish,
            Self::Comment { .. } => EffectKind::Comment,
            Self::Follow { .. } => EffectKind::Follow,
            Self::Merge { .. } => EffectKind::Merge,
            Self::CancelMerge { .. } => EffectKind::CancelMerge,
            Self::Announce { .. } => EffectKind::Announce,
            Self::Answer { .. } => EffectKind::Answer,
            Self::Complete { .. } => EffectKind::Complete,
        }
    }

    /// Identifies the effect. At most one effect with a key is pending; adding it again changes nothing.
    pub fn key(&self, issue: IssueId) -> String {
        let kind = self.kind().name();
        match self {
            Self::Run(Lease { run, .. })
            | Self::CancelRun { run }
            | Self::Rescue { run }
            | Self::FindPullRequest { run }
            | Self::Publish { run } => format!("{kind}/{run}"),
            Self::Comment { run, number } => format!("{kind}/{run}/{number}"),
            Self::RemoveFiles { version }
            | Self::Merge { version }
            | Self::CancelMerge { version, .. }
            | Self::Announce { version } => format!("{kind}/{issue}/{version}"),
            Self::Report { task, version } | Self::Answer { task, version } => format!("{kind}/{task}/{version}"),
            Self::EndPause { task, until } => format!("{kind}/{task}/{}", until.as_millisecond()),
            Self::Follow { at } => format!("{kind}/{issue}/{}", at.as_millisecond()),
            Self::Complete { ending } => format!("{kind}/{issue}/{}", ending.name()),
        }
    }
}
