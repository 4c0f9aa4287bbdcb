//! Tasks: how they are asked for and what comes back.

use serde::{Deserialize, Serialize};

use crate::endpoint::flag;
use crate::run::RunObject;

/// What the task does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    /// Begin work on an issue.
    #[default]
    Start,
    /// Go on in the session.
    Continue,
    /// A message for the coordinator; queued by a request of its own.
    Delegate,
    /// Tells the coordinator what became of what it asked for; queued by the daemon only.
    Report,
}

impl TaskKind {
    /// The command that queues such a task.
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Continue => "continue",
            Self::Delegate | Self::Report => "delegate",
        }
    }
}

/// A task to be queued.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRequest {
    /// The task's identifier, made by the caller (UUIDv7): asking twice queues once.
    pub task: String,
    /// Begin or go on.
    #[serde(default)]
    pub kind: TaskKind,
    /// The issue: any accepted shape; for `continue` also a session's identifier.
    pub reference: String,
    /// The caller's directory, absolute: what `.`, `#12` and relative paths mean.
    pub cwd: String,
    /// What the agent is asked. Without it the issue's own title and text are the task.
    pub message: Option<String>,
    /// The agent; the setting `agent.default` otherwise.
    pub agent: Option<String>,
    /// The model, in the agent's words.
    pub model: Option<String>,
    /// The branch to begin from.
    pub base: Option<String>,
    /// Larger comes first; 0 is normal.
    #[serde(default)]
    pub priority: i32,
    /// Not before this latest task is done.
    pub after: Option<String>,
    /// The pull or merge request that belongs to the issue.
    pub pr_url: Option<String>,
    /// Refuse instead of waiting when every place is taken.
    #[serde(default)]
    pub no_queue: bool,
    /// For `continue`: end the turn that is going on first.
    #[serde(default)]
    pub interrupt: bool,
    /// The coordinator's task during which this one is asked for.
    #[serde(default)]
    pub asked_by: Option<String>,
}

/// Names a task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskQuery {
    /// Its identifier, or an issue of which it is the latest task.
    pub task: String,
    /// The caller's directory, absolute; needed if `task` is an issue.
    #[serde(default)]
    pub cwd: String,
}

/// A page of the queue, in the order of queueing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TasksQuery {
    /// Includes ended tasks.
    #[serde(default, deserialize_with = "flag")]
    pub all: bool,
    #[serde(default, deserialize_with = "flag")]
    pub newest_first: bool,
    /// All tasks if there is none.
    pub limit: Option<u32>,
    /// The ID of the last task of the previous page.
    pub after: Option<String>,
}

/// A queued task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskObject {
    /// The task with its latest run.
    #[serde(flatten)]
    pub run: RunObject,
    /// What for.
    pub kind: TaskKind,
    /// How many tasks stand before it, while it is queued.
    pub place: Option<u64>,
    /// What the agent was asked.
    pub message: String,
    /// Larger comes first.
    pub priority: i32,
    /// Things the caller should know, for example that uncommitted changes are not part of the base.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Which ended tasks are removed from the queue's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CleanRequest {
    /// Only those that ended at least this many seconds ago; as long as the setting `queue.keep` says otherwise.
    pub older_than_seconds: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CleanedTasks {
    /// How many were removed from the history.
    pub removed: u64,
}
