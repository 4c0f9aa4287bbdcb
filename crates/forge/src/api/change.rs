//! A pull or merge request, in words that all forges share.

use jiff::Timestamp;
use kugetsu_domain::change::ChangeState;

/// One pull or merge request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its number in its project.
    pub number: u64,
    /// The address of its page.
    pub url: String,
    /// One line, written by other people.
    pub title: String,
    /// What has become of it.
    pub state: ChangeState,
    /// Whether it is marked as not ready. A draft in conflict has the state [`ChangeState::Conflict`].
    pub draft: bool,
    /// Whether it fits onto its base, as far as the server has found out.
    pub merge: MergeCheck,
    /// The branch that is to be merged, without its owner.
    pub head_branch: String,
    /// The commit at its end; empty where the server does not know it.
    pub head_sha: String,
    /// The branch that it is to be merged into.
    pub base_branch: String,
    /// When anything of it was last changed.
    pub updated: Option<Timestamp>,
}

/// Whether a change fits onto its base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeCheck {
    /// It does.
    Fits,
    /// It does not: somebody has to resolve a conflict.
    Conflict,
    /// The server is finding out, or does not say. Ask again.
    Unknown,
}

/// What has become of a change that a server tells of by single facts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) merged: bool,
    pub(super) closed: bool,
    pub(super) draft: bool,
    pub(super) merge: MergeCheck,
}

impl Facts {
    /// The first that is true, from what ends a change to what only marks it.
    pub(super) fn state(self) -> ChangeState {
        match self {
            Self { merged: true, .. } => ChangeState::Merged,
            Self { closed: true, .. } => ChangeState::Closed,
            Self { merge: MergeCheck::Conflict, .. } => ChangeState::Conflict,
            Self { draft: true, .. } => ChangeState::Draft,
            Self { .. } => ChangeState::Open,
        }
    }
}
