//! Where a setting's value came from.

use std::fmt;
use std::path::PathBuf;

/// The places that settings come from. A later one wins over an earlier one; a command's flags win over all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// Built in.
    Default,
    /// The script's `config`.
    OldFile { path: PathBuf, line: usize },
    /// `config.toml`.
    File { path: PathBuf, line: usize },
    /// What `config.toml` said before there was a mistake in this place of it.
    Before(String),
    /// A variable of the environment.
    Environment(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::OldFile { path, line } | Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Before(place) => write!(f, "before the mistake in {place}"),
            Self::Environment(name) => write!(f, "${name}"),
        }
    }
}
