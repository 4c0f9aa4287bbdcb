//! The rows that a transaction creates or changes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kugetsu_domain::effect::Effect;
use kugetsu_domain::ids::{IssueId, RunId};
use kugetsu_domain::issue::Issue;
use kugetsu_domain::reference::RepoRef;
use kugetsu_domain::run::Run;
use kugetsu_domain::task::Task;

use super::loaded::{Numbers, StoredRepo};
use crate::effect::{EffectId, Wakes};
use crate::query::ShownAs;
use crate::view::StoredEvent;

/// The rows to save, each once and in its final state.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// In the order of their first change.
    pub(crate) repos: Vec<RepoChange>,
    pub(crate) issues: BTreeMap<IssueId, IssueChange>,
    /// By their position in the order of queueing.
    pub(crate) tasks: BTreeMap<i64, TaskChange>,
    pub(crate) runs: BTreeMap<RunId, (IssueId, Run)>,
    /// Oldest first.
    pub(crate) events: Vec<StoredEvent>,
    /// In the order in which they happened.
    pub(crate) effects: Vec<EffectChange>,
    pub(crate) wakes: Wakes,
    pub(crate) numbers: Numbers,
}

impl Changes {
    /// Whether there is nothing to save.
    pub(crate) fn is_empty(&self) -> bool {
        self.issues.is_empty() && self.effects.is_empty()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EffectChange {
    /// Adding an effect whose key is pending changes nothing; one that was given up is tried again.
    Add {
        id: EffectId,
        issue: IssueId,
        effect: Effect,
        now: Timestamp,
    },
    Settle(EffectId),
    /// An execution failed.
    Fail {
        id: EffectId,
        /// `None` if it is given up.
        due_at: Option<Timestamp>,
        error: String,
    },
}

/// A repository to create or update.
#[derive(Debug)]
pub(crate) struct RepoChange {
    pub(crate) name: RepoRef,
    pub(crate) row: StoredRepo,
    /// Time of creation if it is new.
    pub(crate) now: Timestamp,
}

#[derive(Debug)]
pub(crate) struct IssueChange {
    pub(crate) issue: Issue,
    /// The version that the stored row must have; `None` creates it.
    pub(crate) stored_version: Option<u64>,
    pub(crate) shown: Shown,
}

/// The columns of an issue for lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    /// Position of its latest task in the order of queueing.
    pub(crate) latest_task: i64,
    /// Position of its running or else latest task.
    pub(crate) task: i64,
    /// `None` if it is not listed.
    pub(crate) shown_as: Option<ShownAs>,
}

#[derive(Debug)]
pub(crate) struct TaskChange {
    pub(crate) issue: IssueId,
    pub(crate) task: Task,
    pub(crate) is_new: bool,
}
