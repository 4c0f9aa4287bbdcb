//! A run: one attempt by one agent process at one task.

use jiff::Timestamp;

use crate::ids::{RunId, TaskId};
use crate::machine::{Machine, Transition, Trigger};

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RunState {
    /// Its runner prepares the worktree and starts the agent.
    Starting,
    /// The agent's session is open and the agent works.
    Working,
    /// Ended well.
    Done,
    /// Ended with a question for a person.
    Blocked,
    /// Went wrong.
    Failed,
    /// Ended by a time limit.
    Timeout,
    /// Ended on request.
    Canceled,
    /// Its runner vanished without a report.
    Lost,
}

impl Machine for RunState {
    const THING: &'static str = "run";

    const STATES: &'static [Self] = &[
        Self::Starting,
        Self::Working,
        Self::Done,
        Self::Blocked,
        Self::Failed,
        Self::Timeout,
        Self::Canceled,
        Self::Lost,
    ];

    const TABLE: &'static [Transition<Self>] = &[
        Transition {
            from: None,
            on: Trigger::Claimed,
            to: Self::Starting,
            says: "A runner is started; it prepares the worktree and the agent.",
        },
        Transition {
            from: Some(Self::Starting),
            on: Trigger::SessionOpened,
            to: Self::Working,
            says: "The agent named its session and gets the message.",
        },
        Transition {
            from: Some(Self::Starting),
            on: Trigger::Failed,
            to: Self::Failed,
            says: "The worktree or the agent could not be had.",
        },
        Transition {
            from: Some(Self::Starting),
            on: Trigger::Blocked,
            to: Self::Blocked,
            says: "A person is needed before the agent can begin, for example to log in.",
        },
        Transition {
            from: Some(Self::Starting),
            on: Trigger::TimedOut,
            to: Self::Timeout,
            says: "A time limit passed during the preparation.",
        },
        Transition {
            from: Some(Self::Starting),
            on: Trigger::Canceled,
            to: Self::Canceled,
            says: "It was stopped before the agent began.",
        },
        Transition {
            from: Some(Self::Starting),
            on: Trigger::RunnerLost,
            to: Self::Lost,
            says: "The runner vanished; everything it started is ended.",
        },
        Transition {
            from: Some(Self::Working),
            on: Trigger::Done,
            to: Self::Done,
            says: "The turn ended, the host looked at the worktree, and the branch is pushed if there were commits.",
        },
        Transition {
            from: Some(Self::Working),
            on: Trigger::Blocked,
            to: Self::Blocked,
            says: "A permission was refused, or the push needs a person.",
        },
        Transition {
            from: Some(Self::Working),
            on: Trigger::Failed,
            to: Self::Failed,
            says: "The agent, its model or the push failed.",
        },
        Transition {
            from: Some(Self::Working),
            on: Trigger::TimedOut,
            to: Self::Timeout,
            says: "The wall clock or the silence limit passed; the whole process tree is ended and the work is kept.",
        },
        Transition {
            from: Some(Self::Working),
            on: Trigger::Canceled,
            to: Self::Canceled,
            says: "It was stopped on request; the whole process tree is ended and the work is kept.",
        },
        Transition {
            from: Some(Self::Working),
            on: Trigger::RunnerLost,
            to: Self::Lost,
            says: "The runner vanished; everything it started is ended and the work is kept.",
        },
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Working => "working",
            Self::Done => "done",
            Self::Blocked => "blocked",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
            Self::Canceled => "canceled",
            Self::Lost => "lost",
        }
    }

    fn says(self) -> &'static str {
        match self {
            Self::Starting => "Its runner prepares the worktree and starts the agent.",
            Self::Working => "The agent's session is open and the agent works.",
            Self::Done => "It ended well.",
            Self::Blocked => "It ended with something only a person can settle.",
            Self::Failed => "It went wrong; the reason says how.",
            Self::Timeout => "A time limit ended it.",
            Self::Canceled => "It was ended on request.",
            Self::Lost => "Its runner vanished without a report (killed, or the machine went down).",
        }
    }

    fn is_final(self) -> bool {
        !matches!(self, Self::Starting | Self::Working)
    }
}

/// How a run ended, as its runner reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Ended well.
    Done,
    /// A person is needed.
    Blocked,
    /// Went wrong.
    Failed,
    /// A time limit passed.
    Timeout,
    /// Ended on request.
    Canceled,
}

impl Verdict {
    /// The arrow that this verdict takes in the tables of run and task.
    pub const fn trigger(self) -> Trigger {
        match self {
            Self::Done => Trigger::Done,
            Self::Blocked => Trigger::Blocked,
            Self::Failed => Trigger::Failed,
            Self::Timeout => Trigger::TimedOut,
            Self::Canceled => Trigger::Canceled,
        }
    }

    /// The name on the wire; the same as the state it leads to.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Blocked => "blocked",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
            Self::Canceled => "canceled",
        }
    }

    /// The verdict that [`name`](Self::name) gave.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Done, Self::Blocked, Self::Failed, Self::Timeout, Self::Canceled]
            .into_iter()
            .find(|verdict| verdict.name() == name)
    }
}

/// What a run used of its model.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Money, in US dollars, as far as the agent tells.
    pub cost_usd: f64,
    /// Tokens sent to the model.
    pub input_tokens: u64,
    /// Tokens that the model answered with.
    pub output_tokens: u64,
}

/// What the host found when a run was over.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// How it ended.
    pub verdict: Verdict,
    /// Why, in words for a person.
    pub reason: String,
    /// The commit at the top of the work, as a hexadecimal object name.
    pub head_sha: Option<String>,
    /// How many commits there are on top of the base.
    pub commits: u64,
    /// Whether the head is on the branch at the server, or in the repository for a local one.
    pub pushed: bool,
    /// What the model cost.
    pub usage: Usage,
}

/// One attempt at one task.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its identifier.
    pub id: RunId,
    /// The task it works on.
    pub task: TaskId,
    /// Where it stands.
    pub state: RunState,
    /// The fence of the lease it holds on its issue: a number that only grows; a report with another one is stale.
    pub fence: u64,
    /// The agent profile's name.
    pub agent: String,
    /// The agent's session, once the agent has named it.
    pub session: Option<String>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// What came of it, once it has ended with a report.
    pub outcome: Option<Outcome>,
    /// How many bytes of the runner's report are stored.
    pub acknowledged: u64,
}
