//! The agent's conversation about an issue. It survives runs.

use jiff::Timestamp;

use crate::machine::{Machine, Transition, Trigger};
use crate::run::Usage;

/// State of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionState {
    /// The next run resumes it.
    Open,
    /// The agent no longer knows it; the next run opens another one with a hand-over.
    Lost,
    /// Deleted together with the files.
    Deleted,
}

impl Machine for SessionState {
    const THING: &'static str = "session";

    const STATES: &'static [Self] = &[Self::Open, Self::Lost, Self::Deleted];

    const TABLE: &'static [Transition<Self>] = &[
        Transition {
            from: None,
            on: Trigger::SessionOpened,
            to: Self::Open,
            description: "The agent opened a session in the issue's worktree.",
        },
        Transition {
            from: None,
            on: Trigger::Adopted,
            to: Self::Open,
            description: "It began before kugetsu; if its directory had to move, it is lost at once.",
        },
        Transition {
            from: Some(Self::Open),
            on: Trigger::SessionOpened,
            to: Self::Open,
            description: "A later run resumes it, in the same directory.",
        },
        Transition {
            from: Some(Self::Open),
            on: Trigger::SessionLost,
            to: Self::Lost,
            description: "The agent no longer knows it.",
        },
        Transition {
            from: Some(Self::Lost),
            on: Trigger::SessionOpened,
            to: Self::Open,
            description: "A new session replaces it and starts with a hand-over.",
        },
        Transition {
            from: Some(Self::Open),
            on: Trigger::Destroyed,
            to: Self::Deleted,
            description: "The agent's own record is deleted as well.",
        },
        Transition {
            from: Some(Self::Lost),
            on: Trigger::Destroyed,
            to: Self::Deleted,
            description: "The agent had nothing left to delete.",
        },
        Transition {
            from: Some(Self::Deleted),
            on: Trigger::SessionOpened,
            to: Self::Open,
            description: "The issue was started afresh.",
        },
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Lost => "lost",
            Self::Deleted => "deleted",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::Open => "The agent knows it, and the next run resumes it.",
            Self::Lost => "The agent no longer knows it; the next run opens another one with a hand-over.",
            Self::Deleted => "It was deleted together with its issue's files.",
        }
    }

    fn is_final(self) -> bool {
        matches!(self, Self::Deleted)
    }
}

/// The agent's conversation about one issue.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// The agent's own id for it, exactly as the agent returned it.
    pub id: String,
    /// The agent profile it belongs to; no other agent can resume it.
    pub agent: String,
    pub state: SessionState,
    /// When the latest run that opened or resumed it began; `None` if it was imported. It tells a session of this home from
    /// one of the home that this one was copied from.
    pub run_started_at: Option<Timestamp>,
    /// The known use of its runs; a part is `None` for a session of a version that did not count it.
    ///
    /// Some agents report only totals of the session, and this is what the next run subtracts. A run whose use was not
    /// reported, because it was killed, is not in it, so the next run's difference includes it: each run's figure may be off,
    /// but their sum is the session's total. It is kept here because the history of runs is removed after a while.
    pub used: Usage,
}
