//! What a state machine is here: a table of transitions, each with a sentence.
//!
//! [`crate::flow`] moves things only along these tables, and `docs/states.md` is drawn from them, so the page cannot
//! drift from the program.

use std::fmt::Debug;

use thiserror::Error;

/// The fact that moves a thing from one state to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// A task was put into the queue.
    Queued,
    /// Work that was begun before kugetsu knew the issue was taken over.
    Adopted,
    /// A queued task was given a run.
    Claimed,
    /// The agent answered with a session.
    SessionOpened,
    /// The agent no longer knows the session.
    SessionLost,
    /// The agent finished its turn and the host found nothing wrong.
    Done,
    /// Something went wrong.
    Failed,
    /// A person is needed.
    Blocked,
    /// A time limit passed.
    TimedOut,
    /// Somebody asked for the end.
    Canceled,
    /// The runner vanished without a report.
    RunnerLost,
    /// Somebody asked to try again.
    Retried,
    /// Somebody asked to remove the files and session.
    DestroyAsked,
    /// The removal could not be done.
    DestroyFailed,
    /// The files and the session are gone.
    Destroyed,
}

impl Trigger {
    /// The trigger's name on the page of states.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Adopted => "adopted",
            Self::Claimed => "claimed",
            Self::SessionOpened => "session opened",
            Self::SessionLost => "session lost",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Blocked => "blocked",
            Self::TimedOut => "timed out",
            Self::Canceled => "canceled",
            Self::RunnerLost => "runner lost",
            Self::Retried => "retried",
            Self::DestroyAsked => "destroy asked",
            Self::DestroyFailed => "destroy failed",
            Self::Destroyed => "destroyed",
        }
    }
}

/// One arrow of a machine.
#[derive(Clone, Copy, Debug)]
pub struct Transition<S> {
    /// The state it leaves; `None` is the thing's beginning.
    pub from: Option<S>,
    /// What moves it.
    pub on: Trigger,
    /// The state it enters.
    pub to: S,
    /// What happens then, in one sentence.
    pub says: &'static str,
}

/// A machine: its states and its arrows.
pub trait Machine: Copy + Debug + PartialEq + 'static {
    /// What the machine moves, in lower case.
    const THING: &'static str;
    /// Every state, in reading order.
    const STATES: &'static [Self];
    /// Every arrow, in reading order.
    const TABLE: &'static [Transition<Self>];

    /// The state's name in output, configuration and database.
    fn name(self) -> &'static str;

    /// What the state means, in one sentence.
    fn says(self) -> &'static str;

    /// Whether nothing more happens by itself.
    fn is_final(self) -> bool;

    /// The state that [`name`](Self::name) gave.
    fn from_name(name: &str) -> Option<Self> {
        Self::STATES.iter().copied().find(|state| state.name() == name)
    }

    /// Where the trigger leads from `from`.
    ///
    /// # Errors
    /// [`NoSuchMove`] when the table has no such arrow.
    fn next(from: Option<Self>, on: Trigger) -> Result<Self, NoSuchMove> {
        Self::TABLE
            .iter()
            .find(|arrow| arrow.from == from && arrow.on == on)
            .map(|arrow| arrow.to)
            .ok_or_else(|| NoSuchMove { thing: Self::THING, from: from.map_or("new", Self::name), on: on.name() })
    }
}

/// A thing cannot go where it was asked to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a {from} {thing} cannot be {on}")]
pub struct NoSuchMove {
    /// Which machine.
    pub thing: &'static str,
    /// The state it is in.
    pub from: &'static str,
    /// What was asked.
    pub on: &'static str,
}
