//! One attempt by one agent process at one task.

use jiff::Timestamp;

use crate::ids::{RunId, TaskId};
use crate::machine::{Machine, Transition, Trigger};
use crate::reason::Reason;

/// State of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RunState {
    /// The runner prepares the worktree and starts the agent.
    Starting,
    /// The agent's session is open and the agent works.
    Working,
    Done,
    /// The user has to decide something.
    Blocked,
    Failed,
    /// The wall clock or the silence limit ended it.
    Timeout,
    Canceled,
    /// Its runner disappeared without a report.
    Lost,
    /// Its model, or something else that it needs, was not available for a while; the task waits for the next run.
    Paused,
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
        Self::Paused,
    ];

    const TABLE: &'static [Transition<Self>] = &[
        Transition {
            from: None,
            on: Trigger::Claimed,
            to: Self::Starting,
            description: "A runner is started; it prepares the worktree and the agent.",
        },
        Transition {
            from: Some(Self::Starting),
            on: Trigger::SessionOpened,
            to: Self::Working,
            description: "The agent opened its session and receives the message.",
        },
        Transition {
            from: Some(Self::Starting),
            on: Trigger::Pushed,
            to: Self::Done,
            description: "The run of a push, which starts no agent: the host inspected the worktree, and the server has every commit of the branch.",
        },
        Transition {
            from: Some(Self::Starting),
            on: Trigger::Failed,
            to: Self::Failed,
            description: "The worktree could not be prepared, or the agent could not be started.",
        },
        Transition {
            from: Some(Self::Starting),
            on: Trigger::Blocked,
            to: Self::Blocked,
            description: "The user has to do something before the agent can start, for example log in.",
        },
        Transition {
            from: Some(Self::Starting),
            on: Trigger::TimedOut,
            to: Self::Timeout,
            description: "A time limit passed during the preparation.",
        },
        Transition {
            from: Some(Self::Starting),
            on: Trigger::Canceled,
            to: Self::Canceled,
            description: "It was stopped before the agent started.",
        },
        Transition {
            from: Some(Self::Starting),
            on: Trigger::Paused,
            to: Self::Paused,
            description: "Something that it needs is not available for a while, such as the file of its repository; no runner is started.",
        },
        Transition {
            from: Some(Self::Starting),
            on: Trigger::RunnerLost,
            to: Self::Lost,
            description: "The runner disappeared; every process it started is ended.",
        },
        Transition {
            from: Some(Self::Working),
            on: Trigger::Done,
            to: Self::Done,
            description: "The turn ended, the host inspected the worktree, and the branch is pushed if there were commits.",
        },
        Transition {
            from: Some(Self::Working),
            on: Trigger::Blocked,
            to: Self::Blocked,
            description: "A permission was refused, or the push needs a decision by the user.",
        },
        Transition {
            from: Some(Self::Working),
            on: Trigger::Failed,
            to: Self::Failed,
            description: "The agent, its model or the push failed.",
        },
        Transition {
            from: Some(Self::Working),
            on: Trigger::TimedOut,
            to: Self::Timeout,
            description: "The wall clock or the silence limit passed; the whole process tree is ended and the work is kept.",
        },
        Transition {
            from: Some(Self::Working),
            on: Trigger::Canceled,
            to: Self::Canceled,
            description: "The user stopped it; the whole process tree is ended and the work is kept.",
        },
        Transition {
            from: Some(Self::Working),
            on: Trigger::Paused,
            to: Self::Paused,
            description: "The model, or something else that it needs, is not available for a while; the whole process tree is ended and the work is kept.",
        },
        Transition {
            from: Some(Self::Working),
            on: Trigger::RunnerLost,
            to: Self::Lost,
            description: "The runner disappeared; every process it started is ended and the work is kept.",
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
            Self::Paused => "paused",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::Starting => "The runner prepares the worktree and starts the agent.",
            Self::Working => "The agent's session is open and the agent works.",
            Self::Done => "It succeeded.",
            Self::Blocked => "It ended with something only the user can decide.",
            Self::Failed => "It failed; the reason says why.",
            Self::Timeout => "A time limit ended it.",
            Self::Canceled => "The user canceled it.",
            Self::Lost => {
                "Its runner disappeared without a report (it was killed, or the machine went down), or did not end in time."
            }
            Self::Paused => {
                "Its model, or something else that it needs, was not available; another run continues the task later."
            }
        }
    }

    fn is_final(self) -> bool {
        !matches!(self, Self::Starting | Self::Working)
    }
}

/// How a run ended, as its runner reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    Done,
    /// The user has to decide something.
    Blocked,
    Failed,
    Timeout,
    Canceled,
    /// The model is not available for a while.
    Paused,
}

impl Verdict {
    /// The trigger of this verdict in the tables of run and task.
    pub const fn trigger(self) -> Trigger {
        match self {
            Self::Done => Trigger::Done,
            Self::Blocked => Trigger::Blocked,
            Self::Failed => Trigger::Failed,
            Self::Timeout => Trigger::TimedOut,
            Self::Canceled => Trigger::Canceled,
            Self::Paused => Trigger::Paused,
        }
    }

    /// The name on the wire: that of the state it leads to.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Blocked => "blocked",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
            Self::Canceled => "canceled",
            Self::Paused => "paused",
        }
    }

    /// The inverse of [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Done, Self::Blocked, Self::Failed, Self::Timeout, Self::Canceled, Self::Paused]
            .into_iter()
            .find(|verdict| verdict.name() == name)
    }
}

/// Cost and tokens of a run or a session. The default is that nothing is known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// US dollars; `None` if not known.
    pub cost_usd: Option<f64>,
    /// With cached ones; `None` if not known.
    pub input_tokens: Option<u64>,
    /// With those of reasoning; `None` if not known.
    pub output_tokens: Option<u64>,
}

impl Usage {
    /// Nothing was used: the model got no prompt.
    pub const ZERO: Self = Self { cost_usd: Some(0.0), input_tokens: Some(0), output_tokens: Some(0) };

    /// Fills in what is not known.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            cost_usd: self.cost_usd.or(other.cost_usd),
            input_tokens: self.input_tokens.or(other.input_tokens),
            output_tokens: self.output_tokens.or(other.output_tokens),
        }
    }

    /// Adds what a further run used. What is not known of that run counts as 0; what is not known of `self` stays unknown.
    #[must_use]
    pub fn and(self, run: Self) -> Self {
        let tokens = |sum: Option<u64>, more: Option<u64>| Some(sum?.saturating_add(more.unwrap_or(0)));
        Self {
            cost_usd: self.cost_usd.map(|sum| sum + run.cost_usd.unwrap_or(0.0)),
            input_tokens: tokens(self.input_tokens, run.input_tokens),
            output_tokens: tokens(self.output_tokens, run.output_tokens),
        }
    }
}

/// Result of a run, as the host found it.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub verdict: Verdict,
    pub reason: Reason,
    /// The head of the branch, as a hexadecimal object name.
    pub head_sha: Option<String>,
    /// Number of commits on top of the base.
    pub commits: u64,
    /// Whether the head is on the branch on the server (in a local repository: in that repository).
    pub pushed: bool,
    pub usage: Usage,
}

/// One attempt at one task.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    pub id: RunId,
    pub task: TaskId,
    pub state: RunState,
    /// The fence of its lease; see [`Lease`](crate::issue::Lease).
    pub fence: u64,
    /// Name of the agent profile.
    pub agent: String,
    /// The agent's session, once it is open.
    pub session: Option<String>,
    /// The provider of its model, as far as the model's name has one.
    pub provider: Option<String>,
    pub started_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    /// Whether the model has answered.
    pub answered: bool,
    /// Known usage so far.
    pub used: Usage,
    /// Until when the limit of the model's provider lasts that ended it.
    pub limited_until: Option<Timestamp>,
    /// Set once the run has ended with a report.
    pub outcome: Option<Outcome>,
    /// Length of the transcript, in bytes, up to which its facts are stored.
    pub acknowledged: u64,
}
