//! A task: one message for one issue or for the coordinator, queued and durable.

use jiff::Timestamp;

use crate::ids::{IssueId, TaskId};
use crate::machine::{Machine, Transition, Trigger};

/// Where a task stands. The names are part of the contract for scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaskState {
    /// Waits for a free place, for its issue, or for the task it comes after.
    Queued,
    /// A run works on it.
    Running,
    /// The agent finished, and the host saw what it did.
    Done,
    /// A person is needed before it can go on.
    Blocked,
    /// It went wrong; the reason says how.
    Failed,
    /// A time limit ended it.
    Timeout,
    /// Somebody ended it.
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
            says: "The message is stored before the command returns.",
        },
        Transition {
            from: None,
            on: Trigger::Adopted,
            to: Self::Blocked,
            says: "It was begun before kugetsu, and a person says how it goes on.",
        },
        Transition {
            from: Some(Self::Queued),
            on: Trigger::Claimed,
            to: Self::Running,
            says: "A place is free, its turn has come, and a run begins.",
        },
        Transition {
            from: Some(Self::Queued),
            on: Trigger::Canceled,
            to: Self::Canceled,
            says: "It leaves the queue; nothing was started.",
        },
        Transition { from: Some(Self::Running), on: Trigger::Done, to: Self::Done, says: "The run ended well." },
        Transition {
            from: Some(Self::Running),
            on: Trigger::Blocked,
            to: Self::Blocked,
            says: "The run ended with a question for a person.",
        },
        Transition {
            from: Some(Self::Running),
            on: Trigger::Failed,
            to: Self::Failed,
            says: "The run failed, and trying again by itself would not help.",
        },
        Transition {
            from: Some(Self::Running),
            on: Trigger::TimedOut,
            to: Self::Timeout,
            says: "The run reached a time limit; its work is kept.",
        },
        Transition {
            from: Some(Self::Running),
            on: Trigger::Canceled,
            to: Self::Canceled,
            says: "The run was stopped on request; its work is kept.",
        },
        Transition {
            from: Some(Self::Running),
            on: Trigger::RunnerLost,
            to: Self::Queued,
            says: "The machine or the runner died; the task is tried again in the same session, a bounded number of times.",
        },
        Transition {
            from: Some(Self::Blocked),
            on: Trigger::Retried,
            to: Self::Queued,
            says: "Somebody asked to try again.",
        },
        Transition {
            from: Some(Self::Failed),
            on: Trigger::Retried,
            to: Self::Queued,
            says: "Somebody asked to try again.",
        },
        Transition {
            from: Some(Self::Timeout),
            on: Trigger::Retried,
            to: Self::Queued,
            says: "Somebody asked to try again.",
        },
        Transition {
            from: Some(Self::Canceled),
            on: Trigger::Retried,
            to: Self::Queued,
            says: "Somebody asked to try again.",
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

    fn says(self) -> &'static str {
        match self {
            Self::Queued => "Waits for a free place, for its issue, or for the issue it comes after.",
            Self::Running => "A run works on it.",
            Self::Done => "The agent finished its turn and the host saw what came of it.",
            Self::Blocked => "A person is needed, for example because a permission was refused.",
            Self::Failed => "It went wrong; the reason says how.",
            Self::Timeout => "The wall clock or the silence limit ended it.",
            Self::Canceled => "Somebody ended it.",
        }
    }

    fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

/// Why a task exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaskKind {
    /// `start`: takes one of the limited places.
    Start,
    /// `continue`: goes on in an issue's session and is not counted against the limit.
    Continue,
    /// `delegate`: a message for the coordinator; needs no place.
    Delegate,
    /// Tells the coordinator what became of the tasks that it asked for; needs no place.
    Report,
}

impl TaskKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Start, Self::Continue, Self::Delegate, Self::Report];

    /// The name in the database and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Continue => "continue",
            Self::Delegate => "delegate",
            Self::Report => "report",
        }
    }

    /// The kind that [`name`](Self::name) gave.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether a run of it takes one of the limited places: only development does.
    pub const fn needs_place(self) -> bool {
        matches!(self, Self::Start)
    }
}

/// How often a task is tried when its runner vanishes, the first try included.
pub const MAX_ATTEMPTS: u32 = 3;

/// One message for one issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its identifier; made by whoever asked, so that asking twice makes one task.
    pub id: TaskId,
    /// What for.
    pub kind: TaskKind,
    /// Where it stands.
    pub state: TaskState,
    /// What the agent is asked, as the person wrote it.
    pub message: String,
    /// The agent profile's name.
    pub agent: String,
    /// The model, in the agent's own words; `None` leaves the choice to the agent's configuration.
    pub model: Option<String>,
    /// The branch to begin from; `None` is the repository's default branch.
    pub base: Option<String>,
    /// Larger comes first; 0 is normal.
    pub priority: i32,
    /// Not before this issue's latest task is done.
    pub after: Option<IssueId>,
    /// The coordinator's task during which this one was asked for; of a report, the one whose tasks it is about.
    pub asked_by: Option<TaskId>,
    /// How often it was tried, from 0.
    pub attempt: u32,
    /// Whether somebody asked for its end while it runs.
    pub cancel_asked: bool,
    /// When it was queued.
    pub queued_at: Timestamp,
    /// When it reached a final state.
    pub ended_at: Option<Timestamp>,
    /// Why it is in the state it is in, in words.
    pub reason: Option<String>,
}

impl Task {
    /// One that is to wait in line, and of which nothing more is said.
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
            attempt: 0,
            cancel_asked: false,
            queued_at,
            ended_at: None,
            reason: None,
        }
    }
}
