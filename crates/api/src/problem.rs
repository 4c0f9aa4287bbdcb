//! Errors as they travel: a kind for programs, words for people.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What kind of problem it is; decides the HTTP status and the command's exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// The request itself is wrong: a bad reference, an unknown agent, no repository there.
    Usage,
    /// There is no such thing.
    NotFound,
    /// It cannot be done in the present state.
    Conflict,
    /// Every place is taken and the caller did not want to wait.
    Full,
    /// A person has to decide first, for example because work would be removed.
    NeedsPerson,
    /// Something failed on this side: disk, database, git, network.
    Failed,
}

/// A problem, in words for a person.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct Problem {
    /// What kind it is.
    pub kind: ProblemKind,
    /// What happened and why.
    pub message: String,
    /// What to type or do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Problem {
    /// A problem without a hint.
    pub fn new(kind: ProblemKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None }
    }

    /// The same problem with what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
