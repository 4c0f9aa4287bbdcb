//! The error of saving, listing and restoring rescues.

use std::path::PathBuf;

use thiserror::Error;

use crate::command::runner::GitError;
use crate::files::access::FileError;
use crate::untrusted::changes::StatusError;

#[derive(Debug, Error)]
pub enum RescueError {
    #[error("there is no rescue {name}{}", list(.existing))]
    Unknown {
        name: String,
        /// The newest rescues of the repository.
        existing: Vec<String>,
    },
    /// The end of the names of several rescues.
    #[error("{name} may be any of {}", .matching.join(", "))]
    Ambiguous { name: String, matching: Vec<String> },
    /// A time that cannot be part of a ref's name.
    #[error("{0:?} is not a time that can name a rescue")]
    InvalidTime(String),
    /// The directory to restore to is in use.
    #[error("{} exists and is not empty", .0.display())]
    NotEmpty(PathBuf),
    #[error("another process saves or removes a rescue in {}", mirror.display())]
    Busy { mirror: PathBuf },
    /// The mirror is damaged and could not be repaired.
    #[error("{0}")]
    Mirror(String),
    #[error(transparent)]
    Git(#[from] GitError),
    #[error(transparent)]
    File(#[from] FileError),
}

impl RescueError {
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Ambiguous { .. } => Some("give more of the name".to_owned()),
            Self::InvalidTime(_) => Some("a time looks like 20261122T201500Z".to_owned()),
            Self::NotEmpty(_) => Some("give a new directory with --to".to_owned()),
            Self::Busy { .. } => Some("try again when it has ended".to_owned()),
            Self::Git(error) => error.hint(),
            Self::Unknown { .. } | Self::Mirror(_) | Self::File(_) => None,
        }
    }
}

impl From<StatusError> for RescueError {
    fn from(error: StatusError) -> Self {
        match error {
            StatusError::Git(error) => Self::Git(error),
            StatusError::File(error) => Self::File(error),
            StatusError::Unreadable { dir, why } => {
                Self::File(FileError { action: "read all of", path: dir, source: std::io::Error::other(why) })
            }
        }
    }
}

fn list(names: &[String]) -> String {
    match names {
        [] => "; nothing was rescued in this repository".to_owned(),
        names => format!("; there is {}", names.join(", ")),
    }
}
