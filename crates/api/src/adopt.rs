//! Adoption of work on an issue that started before kugetsu.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdoptRequest {
    /// The issue in any accepted form.
    pub reference: String,
    /// The absolute path of the clone that holds the work.
    pub clone: String,
    /// The agent's ID of its session.
    #[serde(default)]
    pub session: Option<String>,
    /// The recorded branch.
    #[serde(default)]
    pub branch: Option<String>,
    /// The URL of its pull request.
    #[serde(default)]
    pub pr_url: Option<String>,
    /// The message to the agent.
    #[serde(default)]
    pub message: Option<String>,
    /// The state, as the previous program named it.
    #[serde(default)]
    pub state: Option<String>,
    /// The name of the backup below the home's backups.
    pub backup: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdoptedObject {
    /// The issue's short reference.
    pub issue: String,
    /// Whether kugetsu already knew the issue; then nothing was changed.
    pub known: bool,
    /// The worktree's absolute path.
    pub worktree: Option<String>,
    /// The branch that the work is pushed to.
    pub branch: Option<String>,
    /// Whether the next run continues the agent's session.
    pub resumable: bool,
    /// Warnings for the user.
    #[serde(default)]
    pub notes: Vec<String>,
}
