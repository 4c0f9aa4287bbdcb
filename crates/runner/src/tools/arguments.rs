//! What the tools are given. The descriptions are read by the agent.

use schemars::JsonSchema;
use serde::Deserialize;

/// An issue.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Issue {
    /// The issue, as the other tools show it: <domain>/<owner>/<repo>#<number>, or local/<name>#<number>.
    pub(super) issue: String,
}

/// Work to begin.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Start {
    /// The issue: its address, or <domain>/<owner>/<repo>#<number>. The path of a git repository on this machine begins a
    /// new piece of work there.
    pub(super) issue: String,
    /// Everything that the agent has to know. It does not see your conversation. Left out, the issue's own title and text
    /// are the task.
    #[serde(default)]
    pub(super) message: Option<String>,
    /// The branch to begin from, if not the default one.
    #[serde(default)]
    pub(super) base: Option<String>,
    /// Not before the work on this issue is done.
    #[serde(default)]
    pub(super) after: Option<String>,
    /// Larger comes first; 0 is normal.
    #[serde(default)]
    pub(super) priority: i32,
}

/// More for an issue that was worked on.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Continue {
    /// The issue, as the other tools show it.
    pub(super) issue: String,
    /// What is to be done now. The agent knows what it has done there, and nothing of your conversation.
    pub(super) message: String,
}

/// Part of a transcript.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Logs {
    /// The issue, as the other tools show it.
    pub(super) issue: String,
    /// How many of the last lines (40 if left out, 200 at most).
    #[serde(default)]
    pub(super) lines: Option<usize>,
}

/// Which issues.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct List {
    /// Only those of this repository, as issues are shown but without #<number>.
    #[serde(default)]
    pub(super) repository: Option<String>,
}

/// Nothing.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Nothing {}
