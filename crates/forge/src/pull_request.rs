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
    /// The description as written.
    pub body: String,
    /// Login of the author; `None` if the account is gone.
    pub author: Option<String>,
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
    /// The commit that it was merged as; `None` unless it is merged and the server says.
    pub merge_commit: Option<String>,
    /// Time of the last change to any part of it.
    pub updated: Option<Timestamp>,
}

/// A pull request to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPullRequest {
    pub title: String,
    pub body: String,
    /// A branch of the project itself.
    pub head: String,
    pub base: String,
    pub draft: bool,
}

/// Changes of a pull request; `None` leaves a part unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PullRequestEdit {
    pub title: Option<String>,
    pub body: Option<String>,
    /// Marks it as a draft, or as ready.
    pub draft: Option<bool>,
    /// Closes it without a merge.
    pub close: bool,
}

/// How the commits of a pull request get into the base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeMethod {
    Merge,
    Squash,
    Rebase,
}

impl MergeMethod {
    /// The name that GitHub, Gitea and Forgejo use; GitHub's GraphQL API writes it in upper case.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Merge => "merge",
            Self::Squash => "squash",
            Self::Rebase => "rebase",
        }
    }
}

/// A merge of exactly one head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merge {
    /// The merge is refused if the head is another commit.
    pub head_sha: String,
    pub method: MergeMethod,
    /// Whether the server merges later, when its conditions are met.
    pub when_ready: bool,
}

/// A merge that a server makes later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeSchedule {
    None,
    Pending {
        /// When it was scheduled, by the server's clock, if the server does not show that it has dropped it since.
        since: Option<Timestamp>,
    },
}

impl From<bool> for MergeSchedule {
    fn from(is_pending: bool) -> Self {
        if is_pending { Self::Pending { since: None } } else { Self::None }
    }
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
