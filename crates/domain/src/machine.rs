//! State machines as tables: every transition with a sentence about what happens.
//!
//! [`crate::flow`] moves things only along these tables, and `docs/states.md` is generated from them, so that the page
//! cannot drift from the program.

use std::fmt::Debug;

use thiserror::Error;

/// The kind of fact that moves a thing from one state to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trigger {
    Queued,
    /// Work that began before kugetsu knew the issue was imported.
    Adopted,
    /// A queued task was given a run.
    Claimed,
    SessionOpened,
    /// The agent no longer knows the session.
    SessionLost,
    /// The agent finished its turn and the host's inspection found no problem.
    Done,
    /// A run without an agent pushed the branch, and the host's inspection found no problem.
    Pushed,
    Failed,
    /// The user has to decide something.
    Blocked,
    TimedOut,
    Canceled,
    /// The runner disappeared without a report.
    RunnerLost,
    /// The model is not available for a while.
    Paused,
    Retried,
    DestroyRequested,
    DestroyFailed,
    /// Files and session are removed.
    Destroyed,
}

impl Trigger {
    /// The name in `docs/states.md` and in messages, where it follows "cannot be".
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Adopted => "adopted",
            Self::Claimed => "claimed",
            Self::SessionOpened => "session opened",
            Self::SessionLost => "session lost",
            Self::Done => "done",
            Self::Pushed => "pushed",
            Self::Failed => "failed",
            Self::Blocked => "blocked",
            Self::TimedOut => "timed out",
            Self::Canceled => "canceled",
            Self::RunnerLost => "runner lost",
            Self::Paused => "paused",
            Self::Retried => "retried",
            Self::DestroyRequested => "destroy requested",
            Self::DestroyFailed => "destroy failed",
            Self::Destroyed => "destroyed",
        }
    }
}

/// An arrow of a machine.
#[derive(Clone, Copy, Debug)]
pub struct Transition<S> {
    /// `None` is the thing's creation.
    pub from: Option<S>,
    pub on: Trigger,
    pub to: S,
    /// One sentence for `docs/states.md`.
    pub description: &'static str,
}

/// A state type with its transitions.
pub trait Machine: Copy + Debug + PartialEq + 'static {
    /// The name of what moves, in lower case.
    const THING: &'static str;
    /// Every state, in reading order.
    const STATES: &'static [Self];
    /// Every transition, in reading order.
    const TABLE: &'static [Transition<Self>];

    /// The name in output, settings and database. Scripts rely on it.
    fn name(self) -> &'static str;

    /// One sentence for `docs/states.md`.
    fn description(self) -> &'static str;

    /// Whether only the user can move the thing from here.
    fn is_final(self) -> bool;

    /// The inverse of [`name`](Self::name).
    fn from_name(name: &str) -> Option<Self> {
        Self::STATES.iter().copied().find(|state| state.name() == name)
    }

    /// Returns the state that the trigger leads to.
    ///
    /// # Errors
    /// [`NoSuchMove`] if the table has no such arrow.
    fn next(from: Option<Self>, on: Trigger) -> Result<Self, NoSuchMove> {
        Self::TABLE
            .iter()
            .find(|arrow| arrow.from == from && arrow.on == on)
            .map(|arrow| arrow.to)
            .ok_or_else(|| NoSuchMove { thing: Self::THING, from: from.map_or("new", Self::name), on: on.name() })
    }
}

/// The table has no arrow for a trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a {from} {thing} cannot be {on}")]
pub struct NoSuchMove {
    pub thing: &'static str,
    /// The current state.
    pub from: &'static str,
    /// The trigger's name.
    pub on: &'static str,
}
