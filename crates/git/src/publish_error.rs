//! Why nothing was pushed.

use std::path::PathBuf;

use thiserror::Error;

use crate::command::failure::{Cause, StderrTail};
use crate::command::runner::GitError;
use crate::files::FileError;
use crate::names::{BranchName, Oid};
use crate::source::SourceError;

/// Why nothing was pushed.
#[derive(Debug, Error)]
pub enum PublishError {
    /// Somebody else changed the branch.
    #[error("{branch} on the server is not what kugetsu last saw there ({}); nothing was overwritten; \
             take those commits in, or delete the branch on the server, then try again", at(.theirs))]
    Diverged {
        /// The branch.
        branch: BranchName,
        /// What it is; `None`: it is not there any more.
        theirs: Option<Oid>,
    },
    /// The server refused: a protected branch, a hook, a quota.
    #[error("the server refused {branch}: {stderr}")]
    Refused {
        /// The branch.
        branch: BranchName,
        /// The server's words.
        stderr: StderrTail,
    },
    /// The server does not answer.
    #[error("{0}")]
    Unreachable(GitError),
    /// The server wants other credentials, or more rights for these.
    #[error("{0}")]
    NotLoggedIn(GitError),
    /// The branch is checked out in the repository that it should go to, so its files would no longer fit it.
    #[error("{branch} is checked out at {}, so it cannot be pushed there; switch that to another branch, then try again", at.display())]
    CheckedOut {
        /// The branch.
        branch: BranchName,
        /// Where.
        at: PathBuf,
    },
    /// The folder that it should go to is gone, or is no repository any more.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Git says why.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The system says why.
    #[error(transparent)]
    File(#[from] FileError),
}

fn at(theirs: &Option<Oid>) -> String {
    theirs.as_ref().map_or_else(|| "it is gone".to_owned(), |theirs| format!("it is at {}", theirs.short()))
}

/// What a failed command to the server means for a push.
pub(crate) fn unreached(error: GitError) -> PublishError {
    match (error.cause(), &error) {
        (Cause::Authentication, _) => PublishError::NotLoggedIn(error),
        (Cause::HostUnknown | Cause::HostKey | Cause::Network, _) | (_, GitError::TimedOut { .. }) => {
            PublishError::Unreachable(error)
        }
        _ => PublishError::Git(error),
    }
}
