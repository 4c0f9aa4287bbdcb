//! Effects as they are stored: claimed, settled, or tried again.
//!
//! An effect that is claimed is not written down: there is one daemon, so the driver knows what it has claimed, and after a
//! crash nothing is.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kugetsu_domain::effect::{Effect, EffectKind};
use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::IssueId;
use tokio::sync::Notify;

/// Longest delay of an effect that is tried again. One that is due later was delayed by a clock that has been set back since.
pub const DELAY_MAX: Duration = Duration::from_secs(1200);

/// Identifies a stored effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EffectId(pub(crate) i64);

/// An effect to execute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedEffect {
    pub id: EffectId,
    /// [`Effect::key`].
    pub key: String,
    pub issue: IssueId,
    pub effect: Effect,
    /// Number of failed executions.
    pub attempt: u32,
    pub created_at: Timestamp,
}

/// An effect that is not settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectView {
    pub key: String,
    /// `None` for one that only another version of kugetsu knows.
    pub kind: Option<EffectKind>,
    /// Whether it was given up.
    pub failed: bool,
    /// Number of failed executions.
    pub attempt: u32,
    pub due_at: Timestamp,
    /// Error of the last execution.
    pub error: Option<String>,
}

/// Tells the engine's loop about commits. A commit between two waits is not missed.
#[derive(Clone, Debug, Default)]
pub struct Commits {
    work: Arc<Notify>,
    queued: Arc<Notify>,
}

impl Commits {
    /// Waits for a commit that added an effect, or after which a task may be able to begin although no slot is free.
    pub async fn effects_or_freed(&self) {
        self.work.notified().await;
    }

    /// Waits for a commit that queued a task which needs a slot.
    pub async fn queued(&self) {
        self.queued.notified().await;
    }

    pub(crate) fn notify(&self, wakes: Wakes) {
        if wakes.work {
            self.work.notify_one();
        }
        if wakes.queued {
            self.queued.notify_one();
        }
    }
}

/// What a transaction wakes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wakes {
    work: bool,
    queued: bool,
}

impl Wakes {
    pub(crate) fn add(&mut self, event: &Event, has_effects: bool) {
        match event {
            Event::TaskQueued { task } if task.kind.needs_slot() => self.queued = true,
            event => self.work |= event.may_let_a_task_begin(),
        }
        self.work |= has_effects;
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.work |= other.work;
        self.queued |= other.queued;
    }
}
