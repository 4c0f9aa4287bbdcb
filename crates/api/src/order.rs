//! What a runner is told: its order when it starts, and words from the daemon while it runs.

use serde::{Deserialize, Serialize};

/// Everything a runner needs to know about its run. It lies in the run's directory, readable by its owner only, and
/// holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunOrder {
    /// The run's identifier.
    pub run: String,
    /// The issue's identifier.
    pub issue: String,
    /// The fence of the lease.
    pub fence: u64,
    /// The task's identifier.
    pub task: String,
    /// The issue's short reference.
    pub reference: String,
    /// What the agent is asked.
    pub message: String,
    /// How often the task was tried, from 1.
    pub attempt: u32,
    /// The agent's name.
    pub agent: String,
    /// The model, where one was asked for.
    pub model: Option<String>,
    /// What the earlier tasks asked, oldest first: for a hand-over.
    pub asked_before: Vec<String>,
    /// The session to go on in, if there is one with this agent.
    pub session: Option<String>,
    /// A session that another agent or a lost record left behind: the new one gets a hand-over.
    pub hand_over: bool,
    /// The limits when the run began.
    pub limits: Limits,
    /// What the agent works on.
    pub work: Work,
}

/// What an agent works on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// An issue, in its worktree.
    Issue(Box<IssueOrder>),
    /// The coordinator's: it starts and watches the work of others and writes nothing itself.
    Coordination,
}

/// Where an issue's repository and its files are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssueOrder {
    /// The issue's number.
    pub number: u64,
    /// Whether this is the task's first attempt: a later one goes on with what the first began.
    pub first_attempt: bool,
    /// The issue's run before this one, if it was lost: what it left in the worktree may be half done.
    pub lost_before: Option<String>,
    /// Where the repository is: an address or a path.
    pub source: String,
    /// Whether `source` is a path on this machine.
    pub local: bool,
    /// The server's address, which says which token is shown to it; `local` without one.
    pub base_url: String,
    /// The mirror's name below the home's mirrors.
    pub mirror: String,
    /// The worktree's name below the home's worktrees.
    pub directory: String,
    /// The branch of the work.
    pub branch: String,
    /// The branch to begin from, where one was asked for.
    pub base: Option<String>,
    /// The commit that the issue's work began from, once it has begun.
    pub base_sha: Option<String>,
    /// What kugetsu itself left on the issue's branch at the server, if it has pushed before.
    pub pushed: Option<String>,
}

/// A run's clocks, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Wall clock of the whole run.
    pub timeout_seconds: u64,
    /// Longest time without a sign of life from the agent.
    pub silence_seconds: u64,
}

/// A word from the daemon to a runner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum Word {
    /// The stream is open; sent first.
    Hello,
    /// End the run: somebody canceled it.
    Stop,
    /// The settings changed.
    Limits(Limits),
    /// The daemon knows this run as over; nothing it reports counts any more.
    Over,
}
