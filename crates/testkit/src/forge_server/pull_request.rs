//! A pull request on a forge server.

use super::comment::{Review, Thread};
use super::issue::Issue;

/// A pull request; every field but title and branch has a default.
#[derive(Clone, Debug)]
pub struct PullRequest {
    /// Title, description, author and labels.
    pub issue: Issue,
    /// The branch to merge.
    pub head: String,
    /// The last commit of the branch.
    pub sha: String,
    /// The branch to merge into.
    pub base: String,
    pub state: PrState,
    pub home: BranchHome,
    /// Whether the branch was deleted.
    pub branch_gone: bool,
    /// Logins of requested reviewers.
    pub reviewers: Vec<String>,
    /// The commit that it was merged as.
    pub merge_commit: Option<String>,
    /// Set while the server waits for its conditions, before it merges the pull request or adds it to the queue.
    pub auto_merge: Option<MergeMethod>,
    /// Set while it is in the merge queue, or on the merge train.
    pub queued: Option<Queued>,
    /// A merge commit on which GitLab runs a pipeline, and the head that it merges.
    pub(super) merged_result: Option<(String, String)>,
    /// Changes that Gitea's timeline shows, oldest first.
    pub(super) milestones: Vec<Milestone>,
    pub(super) reviews: Vec<Review>,
    pub(super) threads: Vec<Thread>,
    /// The heads so far, oldest first.
    pub(super) versions: Vec<Version>,
    /// Head and base at the last check for conflicts; `None` if the test decides.
    pub(super) checked: Option<(String, String)>,
}

/// A head of a pull request.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) id: u64,
    pub(super) sha: String,
    /// Unix seconds.
    pub(super) created: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeMethod {
    Merge,
    Squash,
    Rebase,
}

/// An entry of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queued {
    pub method: MergeMethod,
    /// Unix seconds; the order of the queue.
    pub since: i64,
}

/// A change of the state, or of the scheduled merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Milestone {
    pub(super) id: u64,
    /// The login of the user who made it.
    pub(super) actor: String,
    /// Unix seconds.
    pub(super) at: i64,
    /// As Gitea names it.
    pub(super) kind: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrState {
    /// Open and mergeable.
    Open,
    /// Open and marked as a draft.
    Draft,
    /// Open, with a conflict.
    Conflict,
    /// Open, and the server is checking for conflicts after a push.
    Computing,
    Merged,
    /// Closed without a merge.
    Closed,
}

/// The repository of the pull request's branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BranchHome {
    Project,
    /// The fork of this user.
    ForkOf(String),
    /// A fork that was deleted.
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
            reviewers: Vec::new(),
            merge_commit: None,
            auto_merge: None,
            queued: None,
            merged_result: None,
            milestones: Vec::new(),
            reviews: Vec::new(),
            threads: Vec::new(),
            versions: Vec::new(),
            checked: None,
        }
    }

    pub fn base(self, base: &str) -> Self {
        Self { base: base.to_owned(), ..self }
    }

    pub fn sha(self, sha: &str) -> Self {
        Self { sha: sha.to_owned(), ..self }
    }

    pub fn state(self, state: PrState) -> Self {
        Self { state, ..self }
    }

    pub fn from_fork_of(self, owner: &str) -> Self {
        Self { home: BranchHome::ForkOf(owner.to_owned()), ..self }
    }

    pub fn from_gone_fork(self) -> Self {
        Self { home: BranchHome::ForkGone, ..self }
    }

    /// The branch was deleted, as after a merge.
    pub fn branch_gone(self) -> Self {
        Self { branch_gone: true, ..self }
    }

    /// Whether the server will merge it without a further request.
    pub(super) fn is_scheduled(&self) -> bool {
        self.auto_merge.is_some() || self.queued.is_some()
    }

    pub(super) fn is_open(&self) -> bool {
        !matches!(self.state, PrState::Merged | PrState::Closed)
    }
}
