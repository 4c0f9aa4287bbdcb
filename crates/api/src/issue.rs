//! Issues: how they are asked about, and how they are destroyed.

use serde::{Deserialize, Serialize};

/// Names an issue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssueQuery {
    /// The issue: any accepted shape, or a session's identifier.
    pub reference: String,
    /// The caller's directory, absolute.
    pub cwd: String,
}

/// What removing an issue's files would take away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AtRisk {
    /// The issue's short reference.
    pub issue: String,
    /// Changed and untracked files that are in no commit.
    pub uncommitted: u64,
    /// Commits that are neither on the server nor in a rescue.
    pub unpushed: u64,
    /// Why that could not be found out, where it could not.
    pub unknown: Option<String>,
}

impl AtRisk {
    /// Whether there is nothing to lose.
    pub const fn is_nothing(&self) -> bool {
        self.uncommitted == 0 && self.unpushed == 0 && self.unknown.is_none()
    }
}

/// Removes an issue's files and session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestroyRequest {
    /// The issue.
    #[serde(flatten)]
    pub issue: IssueQuery,
    /// Go on although there is uncommitted or unpushed work; it is rescued all the same.
    pub discard: bool,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destroyed {
    /// The issue's short reference.
    pub issue: String,
    /// Where the state was rescued to, where there was something to rescue.
    pub rescue: Option<String>,
    /// What else there is to say, for example that the agent could not be asked to delete its session.
    pub notes: Vec<String>,
}
