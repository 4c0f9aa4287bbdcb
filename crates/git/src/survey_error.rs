//! Why the state of a worktree could not be read.

use thiserror::Error;

use crate::command::runner::GitError;
use crate::files::FileError;

/// Why the state of a worktree could not be read.
#[derive(Debug, Error)]
pub enum SurveyError {
    /// Git says why.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The system says why.
    #[error(transparent)]
    File(#[from] FileError),
}
