//! The script's session files: `sessions/<issue>.json`, one for each issue, `base.json` and `pm-agent.json`.
//!
//! Known of them: they hold `pr_url` and `branch_name`, a state (`timeout` is one), and stand for an issue. Inferred: the
//! names of the other fields, for which the likely spellings are taken.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::json::{number, text, word};

/// A session of an issue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Session {
    /// Its file; none where only the index or a directory tells of it.
    pub(super) file: Option<PathBuf>,
    /// The issue, as it is written there.
    pub(super) reference: Option<String>,
    /// The agent's identifier.
    pub(super) id: Option<String>,
    pub(super) pid: Option<i64>,
    /// Its directory, as it is written there.
    pub(super) place: Option<PathBuf>,
    pub(super) branch: Option<String>,
    pub(super) change_url: Option<String>,
    pub(super) state: Option<String>,
    pub(super) message: Option<String>,
}

impl Session {
    /// Reads what a session file says.
    pub(super) fn read(file: &Path, value: &Value) -> Self {
        Self {
            file: Some(file.to_owned()),
            reference: word(value, &["issue_ref", "issue", "ref", "reference"]),
            id: id(value),
            pid: number(value, &["pid", "opencode_pid", "agent_pid"]),
            place: word(value, &["worktree_path", "worktree", "workdir", "directory", "path"]).map(PathBuf::from),
            branch: word(value, &["branch_name", "branch"]),
            change_url: word(value, &["pr_url", "change_url"]),
            state: word(value, &["state", "status"]),
            message: text(value, &["message", "task", "prompt"]),
        }
    }
}

/// The agent's identifier of a session.
pub(super) fn id(value: &Value) -> Option<String> {
    word(value, &["opencode_session_id", "session_id", "sessionId", "session", "id"])
}
