//! The script's session files: `sessions/<issue>.json`, `base.json` and `pm-agent.json`.
//!
//! Known: they contain `pr_url`, `branch_name` and a state (`timeout` is one), and belong to an issue. The names of the
//! other fields are inferred; several spellings are accepted.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::json::{number, text, word};

/// The session of an issue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Session {
    /// `None` if the session is known only from the index or a directory.
    pub(crate) file: Option<PathBuf>,
    /// The issue as the file names it.
    pub(crate) reference: Option<String>,
    /// The agent's session id.
    pub(crate) id: Option<String>,
    pub(crate) pid: Option<i64>,
    /// The worktree as the file names it.
    pub(crate) worktree: Option<PathBuf>,
    pub(crate) branch: Option<String>,
    pub(crate) pr_url: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) message: Option<String>,
}

impl Session {
    pub(crate) fn parse(file: &Path, value: &Value) -> Self {
        Self {
            file: Some(file.to_owned()),
            reference: word(value, &["issue_ref", "issue", "ref", "reference"]),
            id: id(value),
            pid: number(value, &["pid", "opencode_pid", "agent_pid"]),
            worktree: word(value, &["worktree_path", "worktree", "workdir", "directory", "path"]).map(PathBuf::from),
            branch: word(value, &["branch_name", "branch"]),
            pr_url: word(value, &["pr_url", "change_url"]),
            state: word(value, &["state", "status"]),
            message: text(value, &["message", "task", "prompt"]),
        }
    }
}

/// The agent's session id in a session file.
pub(crate) fn id(value: &Value) -> Option<String> {
    word(value, &["opencode_session_id", "session_id", "sessionId", "session", "id"])
}
