//! The rows that a transaction starts from.

use std::collections::HashMap;

use kugetsu_domain::ids::{IssueId, RunId, TaskId};
use kugetsu_domain::issue::Issue;
use kugetsu_domain::reference::{ForgeKind, IssueRef, RepoRef};
use kugetsu_domain::task::TaskState;

use crate::error::StoreError;

/// The rows of a [`Plan`](super::Plan). A key that is missing here is not stored.
#[derive(Clone, Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) repos: HashMap<RepoRef, StoredRepo>,
    pub(crate) references: HashMap<IssueRef, IssueId>,
    /// With their live tasks and runs; an error for a damaged one.
    pub(crate) issues: HashMap<IssueId, Result<Issue, StoreError>>,
    /// The planned tasks and the live ones of the issues.
    pub(crate) tasks: HashMap<TaskId, StoredTask>,
    /// The latest task of each issue.
    pub(crate) latest: HashMap<IssueId, LatestTask>,
    /// Bytes of each run's report whose events are stored.
    pub(crate) acknowledged: HashMap<RunId, u64>,
    pub(crate) numbers: Numbers,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredRepo {
    pub(crate) kind: Option<ForgeKind>,
    pub(crate) source: String,
    /// The highest number given to a local issue.
    pub(crate) last_number: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoredTask {
    pub(crate) issue: IssueId,
    /// Its position in the order of queueing.
    pub(crate) seq: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LatestTask {
    pub(crate) seq: i64,
    /// `None` if it is damaged.
    pub(crate) state: Option<TaskState>,
}

/// The highest numbers in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Numbers {
    pub(crate) event: i64,
    pub(crate) task: i64,
    pub(crate) effect: i64,
}
