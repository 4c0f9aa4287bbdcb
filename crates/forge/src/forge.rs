//! The interface to every kind of forge. The files of [`kinds`](crate::kinds) implement it.

use std::fmt::Debug;
use std::pin::Pin;

use kugetsu_domain::reference::{ForgeKind, ProjectPath, ServerBase};
use kugetsu_domain::watch::selection::{Mark, Setting};
use secrecy::SecretString;

use crate::ci::CiStatus;
use crate::discussion::{Comment, Comments, Reaction, Review, ReviewThread};
use crate::error::ForgeError;
use crate::issue::{Issue, IssueEdit, IssueQuery, Listed};
use crate::pull_request::{Merge, MergeSchedule, NewPullRequest, PullRequest, PullRequestEdit};
use crate::user::{Account, Permission, ProjectAccess, TokenRight};

/// A boxed future, so that `dyn Forge` is possible.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, ForgeError>> + Send + 'a>>;

/// Program and version of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// As the server reports it, which shows whether a configured Gitea is a Forgejo.
    pub kind: ForgeKind,
    /// As the server writes it; `None` for github.com, which has no version.
    pub text: Option<String>,
}

/// A server, as the user of one token sees it.
///
/// Calls may wait and retry within [`Limits`](crate::http::limits::Limits), and can be dropped at any time. Those of the second part
/// change something: after an error that [is transient](ForgeError::is_transient) the change may have been made all the same, so
/// that the caller looks before it tries again.
pub trait Forge: Debug + Send + Sync {
    /// The server whose pages belong to this API.
    fn server(&self) -> &ServerBase;

    /// The kind that the server is configured as.
    fn kind(&self) -> ForgeKind;

    /// The user whom the token belongs to.
    fn whoami(&self) -> BoxFuture<'_, Account>;

    /// GitLab reports its version only with a token.
    fn version(&self) -> BoxFuture<'_, Version>;

    /// Returns the permissions of the token in the project.
    fn project<'a>(&'a self, project: &'a ProjectPath) -> BoxFuture<'a, ProjectAccess>;

    /// Returns the rights that the token lacks, if the server does not report its scopes. Its user has to have the role for them, and
    /// `branch` is the default branch.
    fn missing_rights<'a>(&'a self, project: &'a ProjectPath, branch: &'a str) -> BoxFuture<'a, Vec<TokenRight>>;

    /// Returns a text file at the root of the default branch; `None` without such a file.
    ///
    /// # Errors
    /// [`ForgeError::Unexpected`] if it is longer than 1 MB or no UTF-8, too.
    fn file<'a>(&'a self, project: &'a ProjectPath, name: &'a str) -> BoxFuture<'a, Option<String>>;

    /// Returns the permission of a user in the project, as the server reports it.
    fn permission<'a>(&'a self, project: &'a ProjectPath, login: &'a str) -> BoxFuture<'a, Permission>;

    /// If issues and pull requests share their numbers, a pull request is returned too; [`Issue::is_pull_request`] is set.
    fn issue<'a>(&'a self, project: &'a ProjectPath, number: u64) -> BoxFuture<'a, Issue>;

    /// Lists issues, the one that changed first first.
    fn issues<'a>(&'a self, project: &'a ProjectPath, query: &'a IssueQuery) -> BoxFuture<'a, Listed<Issue>>;

    /// Returns the last setting of a mark that the issue has, as the server recorded it. The issue has to exist.
    fn last_setting<'a>(&'a self, project: &'a ProjectPath, number: u64, mark: &'a Mark) -> BoxFuture<'a, Setting>;

    /// The numbers of issues that have to be closed before this one; empty if the server has no such relation.
    fn open_dependencies<'a>(&'a self, project: &'a ProjectPath, number: u64) -> BoxFuture<'a, Vec<u64>>;

    /// The numbers of the open sub-issues. Only worth a request if [`Issue::open_sub_issues`] counts some.
    fn open_sub_issues<'a>(&'a self, _: &'a ProjectPath, _: u64) -> BoxFuture<'a, Vec<u64>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    /// The names of the labels that issues of the project can have.
    fn labels<'a>(&'a self, project: &'a ProjectPath) -> BoxFuture<'a, Vec<String>>;

    /// The comments of an issue or of a pull request, oldest first.
    fn comments<'a>(&'a self, project: &'a ProjectPath, subject: Subject) -> BoxFuture<'a, Comments>;

    fn pull_request<'a>(&'a self, project: &'a ProjectPath, number: u64) -> BoxFuture<'a, PullRequest>;

    /// Returns the last commit of a branch of the project itself; `None` without such a branch.
    fn branch_head<'a>(&'a self, project: &'a ProjectPath, branch: &'a str) -> BoxFuture<'a, Option<String>>;

    /// Whether the project itself has a branch of this name.
    fn has_branch<'a>(&'a self, project: &'a ProjectPath, branch: &'a str) -> BoxFuture<'a, bool> {
        Box::pin(async move { Ok(self.branch_head(project, branch).await?.is_some()) })
    }

    /// Returns the commit of the branch that was merged with a merged pull request, whatever was pushed to the branch since; empty if the
    /// server does not know it.
    fn merged_head<'a>(&'a self, project: &'a ProjectPath, number: u64) -> BoxFuture<'a, String> {
        Box::pin(async move { Ok(self.pull_request(project, number).await?.head_sha) })
    }

    /// Returns the pull requests, open or not, whose head is `branch` of the project itself (not of a fork), latest
    /// update first.
    ///
    /// A server that cannot search by branch lists all its pull requests, latest update first, and only the first pages
    /// are read; an old pull request may be missed there.
    fn find_pull_requests<'a>(&'a self, project: &'a ProjectPath, branch: &'a str) -> BoxFuture<'a, Vec<PullRequest>>;

    /// Whether pull requests get into `branch` only through the server's own queue: a merge queue, or a merge train.
    fn has_merge_queue<'a>(&'a self, project: &'a ProjectPath, branch: &'a str) -> BoxFuture<'a, bool>;

    /// Whether the server will merge the pull request without a further request: it is in a queue, or waits for conditions.
    fn merge_schedule<'a>(&'a self, project: &'a ProjectPath, number: u64) -> BoxFuture<'a, MergeSchedule>;

    /// The same without the details.
    fn is_merge_scheduled<'a>(&'a self, project: &'a ProjectPath, number: u64) -> BoxFuture<'a, bool> {
        Box::pin(async move { Ok(self.merge_schedule(project, number).await? != MergeSchedule::None) })
    }

    /// The reviews of a pull request, oldest first.
    fn reviews<'a>(&'a self, project: &'a ProjectPath, number: u64) -> BoxFuture<'a, Vec<Review>>;

    /// The threads below lines of a pull request.
    fn review_threads<'a>(&'a self, project: &'a ProjectPath, number: u64) -> BoxFuture<'a, Vec<ReviewThread>>;

    /// Returns the checks of a commit.
    fn ci<'a>(&'a self, project: &'a ProjectPath, commit: &'a str) -> BoxFuture<'a, CiStatus>;

    /// Returns the checks of `head`, the head of a pull request. Some servers check a merge of it into the base, which is another
    /// commit.
    fn ci_of_pull_request<'a>(
        &'a self,
        project: &'a ProjectPath,
        _number: u64,
        head: &'a str,
    ) -> BoxFuture<'a, CiStatus> {
        self.ci(project, head)
    }

    /// The end of the log of a [`Check::job`](crate::ci::Check::job), at most `max` bytes. `None` if the server keeps none.
    fn job_log<'a>(&'a self, project: &'a ProjectPath, job: &'a str, max: usize) -> BoxFuture<'a, Option<String>>;

    /// Returns the comment.
    fn add_comment<'a>(&'a self, project: &'a ProjectPath, subject: Subject, body: &'a str) -> BoxFuture<'a, Comment>;

    fn edit_comment<'a>(
        &'a self,
        project: &'a ProjectPath,
        subject: Subject,
        id: u64,
        body: &'a str,
    ) -> BoxFuture<'a, ()>;

    /// Adds a reaction; one that is there already stays.
    fn react<'a>(
        &'a self,
        project: &'a ProjectPath,
        subject: Subject,
        comment: u64,
        reaction: Reaction,
    ) -> BoxFuture<'a, ()>;

    /// Adds and removes labels. One that the project does not have is created; one that is not there is removed already.
    fn label<'a>(
        &'a self,
        project: &'a ProjectPath,
        subject: Subject,
        add: &'a [String],
        remove: &'a [String],
    ) -> BoxFuture<'a, ()>;

    fn edit_issue<'a>(&'a self, project: &'a ProjectPath, number: u64, edit: &'a IssueEdit) -> BoxFuture<'a, ()>;

    /// # Errors
    /// [`ForgeError::Refused`] also if the branch has an open pull request already, or no commits.
    fn open_pull_request<'a>(&'a self, project: &'a ProjectPath, new: &'a NewPullRequest)
    -> BoxFuture<'a, PullRequest>;

    fn edit_pull_request<'a>(
        &'a self,
        project: &'a ProjectPath,
        number: u64,
        edit: &'a PullRequestEdit,
    ) -> BoxFuture<'a, ()>;

    fn request_review<'a>(&'a self, project: &'a ProjectPath, number: u64, logins: &'a [String]) -> BoxFuture<'a, ()>;

    /// Merges the pull request now. With [`Merge::when_ready`] the server merges it later: in its own queue if the base has one,
    /// otherwise when its own conditions are met. To schedule it again with the same head changes nothing.
    ///
    /// The head is compared once, when the server gets the request. When the head moves, GitLab drops a scheduled merge, and GitHub
    /// drops it from its queue, if it accepts the push at all. Otherwise the server merges the new head, unless the merge is
    /// [canceled](Self::cancel_merge).
    ///
    /// # Errors
    /// [`ForgeError::Refused`] if the head moved, or if it cannot be merged or scheduled now. It may be merged already.
    fn merge<'a>(&'a self, project: &'a ProjectPath, number: u64, merge: &'a Merge) -> BoxFuture<'a, ()>;

    /// Keeps the server from merging the pull request later; one that is not scheduled is left alone.
    fn cancel_merge<'a>(&'a self, project: &'a ProjectPath, number: u64) -> BoxFuture<'a, ()>;

    /// Deletes a branch of the project; one that is gone is deleted already.
    fn delete_branch<'a>(&'a self, project: &'a ProjectPath, branch: &'a str) -> BoxFuture<'a, ()>;

    /// The webhooks of the project that the token may see.
    fn hooks<'a>(&'a self, project: &'a ProjectPath) -> BoxFuture<'a, Vec<Hook>>;

    fn create_hook<'a>(&'a self, project: &'a ProjectPath, hook: &'a NewHook) -> BoxFuture<'a, Hook>;
}

/// The issue or the pull request that a comment or a label belongs to. Some servers number them together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    Issue(u64),
    PullRequest(u64),
}

impl Subject {
    pub const fn number(self) -> u64 {
        match self {
            Self::Issue(number) | Self::PullRequest(number) => number,
        }
    }
}

/// A webhook as the server lists it, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    pub id: u64,
    /// The address that gets the deliveries.
    pub url: String,
    pub is_active: bool,
}

/// A webhook to create. It reports issues, comments, pull requests, reviews, pushes and the results of checks.
#[derive(Clone, Debug)]
pub struct NewHook {
    pub url: String,
    /// With which the server signs, or which it sends along.
    pub secret: SecretString,
}
