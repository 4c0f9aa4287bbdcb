//! Rescues: what was saved before files went, and how it comes back.

use serde::{Deserialize, Serialize};

/// Which rescues.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RescuesQuery {
    /// Those of this issue only.
    pub reference: Option<String>,
    #[serde(default)]
    pub cwd: String,
}

/// One rescue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RescueObject {
    /// The issue's short reference.
    pub issue: String,
    /// The ref in the repository's mirror.
    pub reference: String,
    /// The commit.
    pub commit: String,
    /// When (RFC 3339).
    pub at: String,
    /// Why it was made.
    pub why: String,
    /// How many files differ from the commit that was checked out.
    pub files: u64,
}

impl RescueObject {
    /// Whether this is the one that somebody means: by its ref, or by the end of it from a slash on.
    pub fn is_called(&self, name: &str) -> bool {
        self.reference == name || self.reference.strip_suffix(name).is_some_and(|begin| begin.ends_with('/'))
    }
}

/// Brings a rescue back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreRequest {
    /// The issue: any accepted shape.
    pub reference: String,
    /// The caller's directory, absolute.
    pub cwd: String,
    /// Which one: its ref or the end of it; the newest otherwise.
    pub rescue: Option<String>,
    /// The directory to put it into; it must not exist yet.
    pub into: String,
}

/// What was brought back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// The directory.
    pub directory: String,
    /// The rescue that it came from.
    pub reference: String,
    /// What a person should know besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}
