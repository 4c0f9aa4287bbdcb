//! A session: the agent's conversation. It belongs to an issue and survives runs.

use crate::machine::{Machine, Transition, Trigger};

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionState {
    /// The agent knows it, and the next run goes on in it.
    Open,
    /// The agent no longer knows it; the next run begins another with a hand-over.
    Lost,
    /// It was deleted together with its issue's files.
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
            says: "The agent named the session it began in the issue's worktree.",
        },
        Transition {
            from: None,
            on: Trigger::Adopted,
            to: Self::Open,
            says: "It was begun before kugetsu; where its directory could not stay, it is lost at once.",
        },
        Transition {
            from: Some(Self::Open),
            on: Trigger::SessionOpened,
            to: Self::Open,
            says: "A later run goes on in it, in the same directory.",
        },
        Transition {
            from: Some(Self::Open),
            on: Trigger::SessionLost,
            to: Self::Lost,
            says: "The agent does not know it any more.",
        },
        Transition {
            from: Some(Self::Lost),
            on: Trigger::SessionOpened,
            to: Self::Open,
            says: "A new session takes its place and begins with a hand-over.",
        },
        Transition {
            from: Some(Self::Open),
            on: Trigger::Destroyed,
            to: Self::Deleted,
            says: "The agent's own record is deleted, so that nothing of it turns up later.",
        },
        Transition {
            from: Some(Self::Lost),
            on: Trigger::Destroyed,
            to: Self::Deleted,
            says: "There was nothing left to delete at the agent.",
        },
        Transition {
            from: Some(Self::Deleted),
            on: Trigger::SessionOpened,
            to: Self::Open,
            says: "The issue was started afresh.",
        },
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Lost => "lost",
            Self::Deleted => "deleted",
        }
    }

    fn says(self) -> &'static str {
        match self {
            Self::Open => "The agent knows it, and the next run goes on in it.",
            Self::Lost => "The agent no longer knows it; the next run begins another with a hand-over.",
            Self::Deleted => "It went together with its issue's files.",
        }
    }

    fn is_final(self) -> bool {
        matches!(self, Self::Deleted)
    }
}

/// The agent's conversation about one issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The agent's own identifier for it, exactly as the agent answered it.
    pub id: String,
    /// The agent profile it belongs to: another agent cannot resume it.
    pub agent: String,
    /// Where it stands.
    pub state: SessionState,
}
