//! Error responses: a kind for programs, a message for people.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Decides the HTTP status and the command's exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// The request is wrong: a bad reference, an unknown agent, a directory without a repository.
    Usage,
    NotFound,
    /// The current state does not allow it.
    Conflict,
    /// The caller may not do this: it is an agent's process, or no runner of the run that the request is about.
    Forbidden,
    /// All slots are in use and the caller does not want to wait.
    Full,
    /// The user has to decide first, for example because work would be removed.
    NeedsPerson,
    /// Something else failed: disk, database, git, network.
    Failed,
}

#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct Problem {
    pub kind: ProblemKind,
    /// Lower case, without a full stop: what failed, and why.
    pub message: String,
    /// A command or an action for the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Problem {
    pub fn new(kind: ProblemKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
