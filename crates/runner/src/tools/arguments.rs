//! The arguments of the tools. The doc comments of the fields are their descriptions, which the agent reads.

use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Issue {
    /// The issue, as the other tools show it: <domain>/<owner>/<repo>#<number>, or local/<name>#<number>.
    pub(super) issue: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Start {
    /// The issue: its URL, or <domain>/<owner>/<repo>#<number>. The path of a git repository on this machine creates a new
    /// local issue there.
    pub(super) issue: String,
    /// Everything that the agent has to know. It does not see your conversation. Without a message, the issue's own title
    /// and text are the task.
    #[serde(default)]
    pub(super) message: Option<String>,
    /// The branch to start from; the default branch if omitted.
    #[serde(default)]
    pub(super) base: Option<String>,
    /// Wait until the latest task of this issue is done.
    #[serde(default)]
    pub(super) after: Option<String>,
    /// Tasks with a higher priority run first; 0 is normal.
    #[serde(default)]
    pub(super) priority: i32,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Continue {
    /// The issue, as the other tools show it.
    pub(super) issue: String,
    /// The new task. The agent remembers its work on the issue, but does not see your conversation.
    pub(super) message: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Logs {
    /// The issue, as the other tools show it.
    pub(super) issue: String,
    /// The number of lines at the end (default 40, at most 200).
    #[serde(default)]
    pub(super) lines: Option<usize>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct List {
    /// Only issues of this repository, written like an issue without #<number>.
    #[serde(default)]
    pub(super) repository: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct NoArguments {}
