//! Why there is no worktree.

use std::path::PathBuf;

use thiserror::Error;

use crate::command::runner::GitError;
use crate::files::FileError;
use crate::names::BranchName;
use crate::survey_error::SurveyError;

/// Why there is no worktree.
#[derive(Debug, Error)]
pub enum WorktreeError {
    /// There is one already.
    #[error("there is already a worktree at {}", .0.display())]
    Exists(PathBuf),
    /// There is none.
    #[error("the worktree {} is not there", .0.display())]
    Missing(PathBuf),
    /// Something else is there.
    #[error("{} was not made by kugetsu, so it is left as it is; move it away", .0.display())]
    NotOurs(PathBuf),
    /// Git cannot have a branch `a` and a branch `a/b`.
    #[error(
        "git cannot have the branch {branch} beside {other}, which is on the server; rename or delete {other} there"
    )]
    BranchInTheWay {
        /// The branch.
        branch: BranchName,
        /// The server's.
        other: String,
    },
    /// Git says why.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The system says why.
    #[error(transparent)]
    File(#[from] FileError),
}

impl From<SurveyError> for WorktreeError {
    fn from(error: SurveyError) -> Self {
        match error {
            SurveyError::Git(error) => Self::Git(error),
            SurveyError::File(error) => Self::File(error),
        }
    }
}
