//! One message for one issue or for the coordinator, queued and durable.

use jiff::{SignedDuration, Timestamp};

use crate::ids::{IssueId, TaskId};
use crate::machine::{Machine, Transition, Trigger};
use crate::reason::Reason;
use crate::watch::command::AnswerOn;

/// State of a task. Scripts rely on the names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaskState {
    /// Waits for a free slot, for its issue, for the issue it comes after, or for the end of a pause.
    Queued,
    Running,
    /// The agent finished, and the host inspected the result.
    Done,
    /// The user has to decide something before it can continue.
    Blocked,
    Failed,
    /// The wall clock or the silence limit ended it.
    Timeout,
    Canceled,
}

impl Machine for TaskState {
    const THING: &'static str = "task";

    const STATES: &'static [Self] =
        &[Self::Queued, Self::Running, Self::Done, Self::Blocked, Self::Failed, Self::Timeout, Self::Canceled];

    const TABLE: &'static [Transition<Self>] = &[
        Transition {
            from: None,
            on: Trigger::Queued,
            to: Self::Queued,
            description: "The message is stored before the command returns.",
        },
        Transition {
            from: None,
            on: Trigger::Adopted,
            to: Self::Blocked,
            description: "It began before kugetsu; the user decides how it continues.",
        },
        Transition {
            from: Some(Self::Queued),
            on: Trigger::Claimed,
            to: Self::Running,
            description: "A slot is free and it is next: a run begins.",
        },
        Transition {
            from: Some(Self::Queued),
            on: Trigger::Canceled,
            to: Self::Canceled,
            description: "It leaves the queue; nothing was started.",
        },
        Transition { from: Some(Self::Running), on: Trigger::Done, to: Self::Done, description: "The run succeeded." },
        Transition {
            from: Some(Self::Running),
            on: Trigger::Blocked,
            to: Self::Blocked,
            description: "The run needs a decision by the user.",
        },
        Transition {
            from: Some(Self::Running),
            on: Trigger::Failed,
            to: Self::Failed,
            description: "The run failed, and retrying it automatically would not help.",
        },
        Transition {
            from: Some(Self::Running),
            on: Trigger::TimedOut,
            to: Self::Timeout,
            description: "The run reached a time limit; its work is kept.",
        },
        Transition {
            from: Some(Self::Running),
            on: Trigger::Canceled,
            to: Self::Canceled,
            description: "The user stopped the run; its work is kept.",
        },
        Transition {
            from: Some(Self::Running),
            on: Trigger::RunnerLost,
            to: Self::Queued,
            description: "The machine or the runner died; the task is tried again in the same session, at most three attempts in all. Attempts before the start of the agent do not count, unless the task needs none.",
        },
        Transition {
            from: Some(Self::Running),
            on: Trigger::Paused,
            to: Self::Queued,
            description: "The model, or something else that it needs, is not available for a while; the task waits without a slot and continues in the same session afterwards. It waits for the model as often as necessary, and for anything else up to 48 times.",
        },
        Transition {
            from: Some(Self::Blocked),
            on: Trigger::Retried,
            to: Self::Queued,
            description: "The user retried it.",
        },
        Transition {
            from: Some(Self::Failed),
            on: Trigger::Retried,
            to: Self::Queued,
            description: "The user retried it.",
        },
        Transition {
            from: Some(Self::Timeout),
            on: Trigger::Retried,
            to: Self::Queued,
            description: "The user retried it.",
        },
        Transition {
            from: Some(Self::Canceled),
            on: Trigger::Retried,
            to: Self::Queued,
            description: "The user retried it.",
        },
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Blocked => "blocked",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
            Self::Canceled => "canceled",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::Queued => {
                "It waits for a free slot, for its issue, for the issue it comes after, or until its model is available again."
            }
            Self::Running => "A run works on it.",
            Self::Done => {
                "The agent finished its turn, and the host inspected the result; or, of a push, the server has every commit."
            }
            Self::Blocked => "The user has to decide something, for example because a permission was refused.",
            Self::Failed => "It failed; the reason says why.",
            Self::Timeout => "The wall clock or the silence limit ended it.",
            Self::Canceled => "The user canceled it.",
        }
    }

    fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

/// Why a task exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaskKind {
    /// `start`; the only kind that takes a slot.
    Start,
    /// `continue`: resumes the issue's session.
    Continue,
    /// `push`: inspects the worktree and pushes, without the agent.
    Push,
    /// `delegate`: a message for the coordinator.
    Delegate,
    /// Reports to the coordinator how the tasks it asked for ended.
    Report,
}

impl TaskKind {
    pub const ALL: [Self; 5] = [Self::Start, Self::Continue, Self::Push, Self::Delegate, Self::Report];

    /// The name in the database and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Continue => "continue",
            Self::Push => "push",
            Self::Delegate => "delegate",
            Self::Report => "report",
        }
    }

    /// The inverse of [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether a run of it takes one of the `agents.max` slots.
    pub const fn needs_slot(self) -> bool {
        matches!(self, Self::Start)
    }

    /// Whether a run of it starts an agent.
    pub const fn needs_agent(self) -> bool {
        !matches!(self, Self::Push)
    }
}

/// Maximum number of attempts if the runner disappears, including the first.
pub const MAX_ATTEMPTS: u32 = 3;
/// Number of attempts that count toward [`MAX_ATTEMPTS`]: one that ended in a pause does not.
pub const fn counted_attempts(attempt: u32, pauses: u32) -> u32 {
    attempt.saturating_sub(pauses)
}

/// Maximum number of pauses of a task that waits for something other than its model. If no end is known, such a pause is half an hour, so this is a day.
pub const MAX_PAUSES: u32 = 48;
/// Longest pause. A provider's limits are reset at least once a month.
pub const PAUSE_MAX: SignedDuration = SignedDuration::from_hours(31 * 24);

/// One message for one issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Generated by the caller, so that sending a request twice creates one task.
    pub id: TaskId,
    pub kind: TaskKind,
    pub state: TaskState,
    /// The prompt, as the user wrote it. Empty if the task needs no agent.
    pub message: String,
    /// The agent profile's name.
    pub agent: String,
    /// The model's name as the agent knows it; `None` leaves the choice to the agent's configuration.
    pub model: Option<String>,
    /// The branch to start from; `None` is the repository's default branch.
    pub base: Option<String>,
    /// Larger runs first; 0 is the default.
    pub priority: i32,
    /// Begins only when this issue's latest task is done.
    pub after: Option<IssueId>,
    /// The coordinator's task that created this one; of a report, the coordinator's task it is about.
    pub asked_by: Option<TaskId>,
    /// The discussion in which the agent's answer is written; of a person's question on the server.
    pub answer_on: Option<AnswerOn>,
    /// Number of runs so far.
    pub attempt: u32,
    /// Number of runs so far that ended in a pause.
    pub pauses: u32,
    /// End of its pause, in whole milliseconds. Only a queued task is paused.
    pub not_before: Option<Timestamp>,
    /// Whether the user canceled it while it runs.
    pub cancel_requested: bool,
    pub queued_at: Timestamp,
    /// When it reached a final state.
    pub ended_at: Option<Timestamp>,
    /// Why it is in its state.
    pub reason: Option<Reason>,
}

impl Task {
    /// Returns a queued task with default options.
    #[must_use]
    pub fn queued(id: TaskId, kind: TaskKind, agent: String, message: String, queued_at: Timestamp) -> Self {
        Self {
            id,
            kind,
            state: TaskState::Queued,
            message,
            agent,
            model: None,
            base: None,
            priority: 0,
            after: None,
            asked_by: None,
            answer_on: None,
            attempt: 0,
            pauses: 0,
            not_before: None,
            cancel_requested: false,
            queued_at,
            ended_at: None,
            reason: None,
        }
    }
}
