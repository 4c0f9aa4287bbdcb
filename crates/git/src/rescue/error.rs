//! Why nothing was saved, found or brought back.

use std::path::PathBuf;

use thiserror::Error;

use crate::command::runner::GitError;
use crate::files::access::FileError;
use crate::untrusted::changes::StatusError;

/// Why nothing was saved, found or brought back.
#[derive(Debug, Error)]
pub enum RescueError {
    /// No such rescue.
    #[error("there is no rescue {name}{}", offer(.there))]
    Unknown {
        /// What was asked for.
        name: String,
        /// The newest ones that there are.
        there: Vec<String>,
    },
    /// The end of a name that several rescues have.
    #[error("{name} may be any of {}; give more of the name", .matching.join(", "))]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// Which rescues it fits.
        matching: Vec<String>,
    },
    /// A time that cannot be part of a ref's name.
    #[error("{0:?} cannot name a rescue; a time looks like 20261122T201500Z")]
    InvalidTime(String),
    /// The directory for a restored worktree is in use.
    #[error("{} is there already and not empty; give a new directory with --to", .0.display())]
    NotEmpty(PathBuf),
    /// Git says why.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The system says why.
    #[error(transparent)]
    File(#[from] FileError),
}

impl From<StatusError> for RescueError {
    fn from(error: StatusError) -> Self {
        match error {
            StatusError::Git(error) => Self::Git(error),
            StatusError::File(error) => Self::File(error),
        }
    }
}

fn offer(names: &[String]) -> String {
    match names {
        [] => "; nothing was rescued in this repository".to_owned(),
        names => format!("; there is {}", names.join(", ")),
    }
}
