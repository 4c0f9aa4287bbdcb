//! Rescues, and how they are restored.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RescuesQuery {
    /// Selects the rescues of this issue.
    pub reference: Option<String>,
    #[serde(default)]
    pub cwd: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RescueObject {
    /// The issue's short reference.
    pub issue: String,
    /// The ref in the repository's mirror.
    pub reference: String,
    pub commit: String,
    /// RFC 3339, in milliseconds; see `rfc3339` of the domain.
    pub at: String,
    /// Why it was created.
    pub why: String,
    /// Number of files that differ from the checked-out commit.
    pub files: u64,
}

impl RescueObject {
    /// Whether `name` is its ref, or the end of it after a slash.
    pub fn is_called(&self, name: &str) -> bool {
        self.reference == name || self.reference.strip_suffix(name).is_some_and(|start| start.ends_with('/'))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropRescuesRequest {
    /// The issue in any accepted form, or its short reference if kugetsu no longer knows it.
    pub reference: String,
    /// The caller's absolute directory.
    pub cwd: String,
    /// The refs of the rescues.
    pub rescues: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreRequest {
    /// The issue in any accepted form.
    pub reference: String,
    /// The caller's absolute directory.
    pub cwd: String,
    /// The ref or the end of it. Defaults to the newest rescue.
    pub rescue: Option<String>,
    /// The target directory, which must not exist.
    pub into: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    pub directory: String,
    /// The ref of the rescue.
    pub reference: String,
    /// Warnings for the user.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}
