//! Messages for the coordinator.

use serde::{Deserialize, Serialize};

use crate::run::RunObject;
use crate::task::TaskObject;

/// A message for the coordinator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DelegateRequest {
    /// The task's identifier, made by the caller (UUIDv7): asking twice queues once.
    pub task: String,
    /// The message.
    pub message: String,
    /// The caller's directory, absolute.
    pub cwd: String,
    /// Which of the issues that the message may mean is the one, where the caller was asked.
    #[serde(default)]
    pub worktree: Option<String>,
    /// Hand the message over although issues with work of their own may be meant.
    #[serde(default)]
    pub anyway: bool,
}

/// An issue that kugetsu has worked on and that a message may mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CandidateObject {
    /// What the message says.
    pub written: String,
    /// The latest task with its latest run.
    #[serde(flatten)]
    pub run: RunObject,
}

/// What became of a message so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DelegateObject {
    /// The coordinator's tasks: the message, then a report each time that what it asked for was over.
    pub tasks: Vec<TaskObject>,
    /// What the coordinator asked for.
    pub asked: Vec<RunObject>,
    /// Whether nothing more comes by itself.
    pub over: bool,
}
