//! The rows that a transaction creates or changes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kugetsu_domain::ids::{IssueId, RunId};
use kugetsu_domain::issue::Issue;
use kugetsu_domain::reference::RepoRef;
use kugetsu_domain::run::Run;
use kugetsu_domain::task::Task;

use super::loaded::{Numbers, StoredRepo};
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
    pub(crate) numbers: Numbers,
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
}

#[derive(Debug)]
pub(crate) struct TaskChange {
    pub(crate) issue: IssueId,
    pub(crate) task: Task,
    pub(crate) is_new: bool,
}
