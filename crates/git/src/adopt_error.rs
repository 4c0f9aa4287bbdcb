//! Why a clone was not taken over.

use std::path::PathBuf;

use thiserror::Error;

use crate::command::runner::GitError;
use crate::files::FileError;
use crate::mirror::MirrorError;
use crate::survey_error::SurveyError;
use crate::worktree_error::WorktreeError;

/// Why a clone was not taken over. It is as it was.
#[derive(Debug, Error)]
pub enum AdoptError {
    /// There is nothing.
    #[error("{} is not there any more", .0.display())]
    Gone(PathBuf),
    /// It is a link, or its git directory is elsewhere: what it leads to may be somebody else's.
    #[error("{} is {what}, and what that leads to is not touched", path.display())]
    Elsewhere {
        /// Which one.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// There are files, and no git directory.
    #[error("{} is not a git repository any more", .0.display())]
    NoRepository(PathBuf),
    /// Its HEAD cannot be read, or the commit is not there with all it needs.
    #[error("the git repository in {} is damaged: {why}", path.display())]
    Damaged {
        /// Which one.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The mirror.
    #[error("the repository could not be fetched: {0}")]
    Mirror(#[from] MirrorError),
    /// The new worktree.
    #[error(transparent)]
    Worktree(#[from] WorktreeError),
    /// Git says why.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The system says why.
    #[error(transparent)]
    File(#[from] FileError),
}

impl From<SurveyError> for AdoptError {
    fn from(error: SurveyError) -> Self {
        match error {
            SurveyError::Git(error) => Self::Git(error),
            SurveyError::File(error) => Self::File(error),
        }
    }
}
