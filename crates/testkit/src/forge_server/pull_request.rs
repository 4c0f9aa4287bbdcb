//! A pull request on a forge server.

use super::issue::Issue;

/// A pull request as a test makes it; everything but title and branch has a default.
#[derive(Clone, Debug)]
pub struct PullRequest {
    /// Title, description, author and labels, which it has as issues have them.
    pub issue: Issue,
    /// The branch to be merged.
    pub head: String,
    /// The commit at its end.
    pub sha: String,
    /// The branch to merge into.
    pub base: String,
    /// What has become of it.
    pub state: PrState,
    /// Where the branch is.
    pub home: BranchHome,
    /// Whether the branch was removed.
    pub branch_gone: bool,
}

/// What has become of a pull request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrState {
    /// Open, and can be merged.
    Open,
    /// Open and marked as not ready.
    Draft,
    /// Open, and does not fit onto its base.
    Conflict,
    /// Open, and a push has just made the server look anew whether it fits.
    Computing,
    /// Merged.
    Merged,
    /// Closed without having been merged.
    Closed,
}

/// Where the branch of a pull request is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BranchHome {
    /// In the project itself.
    Project,
    /// In the fork that this user has.
    ForkOf(String),
    /// It was in a fork that is gone.
    ForkGone,
}

impl PullRequest {
    /// An open pull request from `head` to `main`.
    pub fn new(title: &str, head: &str) -> Self {
        Self {
            issue: Issue::new(title),
            head: head.to_owned(),
            sha: "6dcb09b5b57875f334f61aebed695e2e4193db5e".to_owned(),
            base: "main".to_owned(),
            state: PrState::Open,
            home: BranchHome::Project,
            branch_gone: false,
        }
    }

    /// Into another branch.
    pub fn base(self, base: &str) -> Self {
        Self { base: base.to_owned(), ..self }
    }

    /// With this commit at its end.
    pub fn sha(self, sha: &str) -> Self {
        Self { sha: sha.to_owned(), ..self }
    }

    /// In another state.
    pub fn state(self, state: PrState) -> Self {
        Self { state, ..self }
    }

    /// From the fork that this user has.
    pub fn from_fork_of(self, owner: &str) -> Self {
        Self { home: BranchHome::ForkOf(owner.to_owned()), ..self }
    }

    /// From a fork that is gone.
    pub fn from_gone_fork(self) -> Self {
        Self { home: BranchHome::ForkGone, ..self }
    }

    /// With its branch removed, as after a merge.
    pub fn branch_gone(self) -> Self {
        Self { branch_gone: true, ..self }
    }

    pub(super) fn is_open(&self) -> bool {
        !matches!(self.state, PrState::Merged | PrState::Closed)
    }
}
