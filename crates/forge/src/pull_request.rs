//! A pull request as every kind of forge has it.

use jiff::Timestamp;
use kugetsu_domain::pull_request::PrState;

/// A pull request, or a merge request on GitLab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullRequest {
    pub number: u64,
    /// Address of its page on the server as configured.
    pub url: String,
    /// One line, written by other people.
    pub title: String,
    pub state: PrState,
    /// Whether it is marked as not ready. A draft with conflicts has the state [`PrState::Conflict`].
    pub draft: bool,
    pub merge: MergeCheck,
    /// The branch to be merged, without its owner.
    pub head_branch: String,
    /// The last commit of that branch; empty if the server does not know it.
    pub head_sha: String,
    /// The branch to merge into.
    pub base_branch: String,
    /// Time of the last change to any part of it.
    pub updated: Option<Timestamp>,
}

/// Whether a pull request can be merged into its base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeCheck {
    Mergeable,
    Conflict,
    /// The server is still checking, or does not say.
    Unknown,
}

/// The facts that decide the state of a pull request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub(crate) merged: bool,
    pub(crate) closed: bool,
    pub(crate) draft: bool,
    pub(crate) merge: MergeCheck,
}

impl Facts {
    /// The first fact that holds, from those that end a pull request to those that only mark it.
    pub(crate) fn state(self) -> PrState {
        match self {
            Self { merged: true, .. } => PrState::Merged,
            Self { closed: true, .. } => PrState::Closed,
            Self { merge: MergeCheck::Conflict, .. } => PrState::Conflict,
            Self { draft: true, .. } => PrState::Draft,
            Self { .. } => PrState::Open,
        }
    }
}
