//! Work that was begun on an issue before kugetsu, to be taken over.

use serde::{Deserialize, Serialize};

/// What is known of such work.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdoptRequest {
    /// The issue.
    pub reference: String,
    /// The clone that the work is in, absolute.
    pub clone: String,
    /// The agent's identifier of its session.
    #[serde(default)]
    pub session: Option<String>,
    /// The branch that was noted for it.
    #[serde(default)]
    pub branch: Option<String>,
    /// The address of its pull or merge request.
    #[serde(default)]
    pub pr_url: Option<String>,
    /// What was asked.
    #[serde(default)]
    pub message: Option<String>,
    /// Where it stood, in the words of whatever worked on it.
    #[serde(default)]
    pub state: Option<String>,
    /// The name, below the home's backups, of what is kept of this time.
    pub backup: String,
}

/// What it became.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdoptedObject {
    /// The issue's short reference.
    pub issue: String,
    /// Whether kugetsu knew the issue already, so that nothing was changed.
    pub known: bool,
    /// The worktree's directory, absolute.
    pub worktree: Option<String>,
    /// The branch that the work is pushed to.
    pub branch: Option<String>,
    /// Whether the next run goes on in the agent's session.
    pub resumable: bool,
    /// What a person should know besides.
    #[serde(default)]
    pub notes: Vec<String>,
}
