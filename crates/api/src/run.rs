//! The object that scripts read: one run of one task. Its fields and their names are stable.

use serde::{Deserialize, Serialize};

/// Where a task stands, as scripts see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Waits in the queue.
    Queued,
    /// A run works on it.
    Running,
    /// Ended well.
    Done,
    /// A person is needed.
    Blocked,
    /// Went wrong.
    Failed,
    /// A time limit ended it.
    Timeout,
    /// Somebody ended it.
    Canceled,
}

impl State {
    pub const ALL: &'static [Self] =
        &[Self::Queued, Self::Running, Self::Done, Self::Blocked, Self::Failed, Self::Timeout, Self::Canceled];

    /// Whether nothing more happens by itself.
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }

    /// The name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Blocked => "blocked",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
            Self::Canceled => "canceled",
        }
    }
}

/// Names a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunQuery {
    pub run: String,
}

/// What a run used of its model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// US dollars, as far as the agent tells.
    pub cost_usd: f64,
    /// Tokens sent to the model.
    pub input_tokens: u64,
    /// Tokens answered by the model.
    pub output_tokens: u64,
}

/// One task with its latest run: what `start --wait --json` ends with, and the element of `list --json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunObject {
    /// The issue's short reference.
    pub issue: String,
    /// The task's identifier.
    pub task: String,
    /// The run's identifier, once there was one.
    pub run: Option<String>,
    /// Where the task stands.
    pub state: State,
    /// Why, in words.
    pub reason: Option<String>,
    /// The agent's own identifier of its session.
    pub session_id: Option<String>,
    /// The agent's name.
    pub agent: String,
    /// The worktree's directory, absolute.
    pub worktree: Option<String>,
    /// The branch that the work is pushed to.
    pub branch: Option<String>,
    /// The commit that the work began from.
    pub base_sha: Option<String>,
    /// The commit at the top of the work.
    pub head_sha: Option<String>,
    /// How many commits there are on top of the base.
    pub commits: u64,
    /// Whether the head is on the branch at the server, or in the repository for a local one.
    pub pushed: bool,
    /// The pull or merge request, where there is one.
    pub pr_url: Option<String>,
    /// What its server said last has become of it: open, draft, conflict, merged or closed.
    #[serde(default)]
    pub change_state: Option<String>,
    /// When the task was queued (RFC 3339).
    pub queued_at: String,
    /// When the run began (RFC 3339).
    pub started_at: Option<String>,
    /// When the task ended (RFC 3339).
    pub ended_at: Option<String>,
    /// Whether the issue's worktree and session are removed.
    #[serde(default)]
    pub destroyed: bool,
    /// What the run cost.
    pub usage: Usage,
}

impl RunObject {
    /// Since when it stands where it stands, as far as that is told: its end, else its run's beginning, else when it was
    /// queued (RFC 3339).
    #[must_use]
    pub fn since(&self) -> &str {
        self.ended_at.as_deref().or(self.started_at.as_deref()).unwrap_or(&self.queued_at)
    }
}
