//! The input of a runner: everything about its run when it starts, and messages of the daemon while it runs.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::run::Usage;
use crate::run_key::{PublicKey, RunKey};

/// Everything about one run, frozen when the run is launched: the runner reads no settings.
///
/// It is in the run's directory, readable by its owner only. Values that may be secrets are not part of it; they travel
/// as [`RunSecrets`]. What belongs to the machine and not to the run is not part of it either: the home comes from the
/// environment, and the run's directory shows where its temporary files are.
///
/// Only a runner of the same version reads it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunSpec {
    pub run: String,
    pub issue: String,
    /// The number of the lease.
    pub fence: u64,
    /// The public part of the run's key; `None` in specifications of earlier versions.
    #[serde(default)]
    pub key: Option<PublicKey>,
    pub task: String,
    /// The issue's short reference.
    pub reference: String,
    /// The task for the agent.
    pub message: String,
    /// Counted from 1.
    pub attempt: u32,
    /// How many attempts before ended in a pause.
    #[serde(default)]
    pub pauses: u32,
    pub agent: AgentSpec,
    /// Defaults to the choice of the agent.
    pub model: Option<String>,
    /// The messages of earlier tasks, oldest first: for a hand-over.
    pub earlier_messages: Vec<String>,
    /// The session to resume.
    pub session: Option<String>,
    /// The known use of earlier runs of that session.
    #[serde(default)]
    pub used_before: Usage,
    /// Whether a new session takes over from one that cannot be resumed: another agent's, or one whose record is lost.
    pub hand_over: bool,
    /// The limits when the run started.
    pub limits: Limits,
    #[serde(default)]
    pub resources: ResourceLimits,
    pub permissions: Permissions,
    /// Whether the agent should not name itself in messages of commits.
    #[serde(default)]
    pub without_trailers: bool,
    /// How often a task is continued in the same session after its model failed in a way that passes.
    #[serde(default)]
    pub model_retries: u32,
    pub sandbox: SandboxChoice,
    /// Further files and directories that the agent of an issue may read in its sandbox.
    #[serde(default)]
    pub sandbox_readable: Vec<PathBuf>,
    /// Further directories that it may write.
    #[serde(default)]
    pub sandbox_writable: Vec<PathBuf>,
    #[serde(default)]
    pub network: NetworkSpec,
    /// Variables that the agent gets only from its own env file: tokens for git servers.
    #[serde(default)]
    pub withheld: Vec<String>,
    pub work: Work,
}

/// The agent of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentSpec {
    pub name: String,
    /// Its entry in the user's settings, which replaces fields of a built-in agent.
    pub settings: Option<AgentFields>,
}

/// The fields of an agent's entry that a run uses. The variables of the entry are in [`RunSecrets`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentFields {
    /// A name that is looked up on the agent's `PATH`, or an absolute path.
    pub program: Option<PathBuf>,
    /// Arguments that make it speak ACP.
    pub args: Option<Vec<String>>,
}

/// The answer to an agent's permission requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permissions {
    Allow,
    /// The user decides.
    Ask,
    Refuse,
}

/// Whether the agent's processes are confined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SandboxChoice {
    Off,
    /// The run does without if the machine has no sandbox.
    Best,
    /// The run fails if the machine has no sandbox.
    Required,
}

/// The hosts that the agent of an issue may connect to. Only a sandbox can restrict them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkSpec {
    pub access: NetworkAccess,
    /// The setting that decided about it.
    pub setting: String,
    /// The setting `run.allow_hosts`.
    pub allow_hosts: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkAccess {
    /// The network of the machine.
    #[default]
    Full,
    AllowList,
    /// Providers of models only.
    None,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// An issue, in its worktree.
    Issue(Box<IssueSpec>),
    /// The push of an issue's work, and nothing else: no agent is started.
    Push(Box<IssueSpec>),
    /// A message for the coordinator, which delegates and watches work and writes nothing itself.
    Coordination {
        /// The tools that its agent gets.
        tools: Vec<Tool>,
    },
}

/// An issue's repository and files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssueSpec {
    pub number: u64,
    /// Whether this is the task's first attempt: a later one continues what the first began.
    pub first_attempt: bool,
    /// The issue's run before this one, if it was lost: its worktree may be in the middle of a change.
    pub lost_before: Option<String>,
    /// Files of more bytes are not stored in git by a rescue, but copied beside it.
    #[serde(default = "rescue_max_file")]
    pub rescue_max_file: u64,
    pub source: CloneSource,
    /// None for a server that is not configured.
    pub access: Option<ServerAccess>,
    /// The mirror's name below the home's mirrors.
    pub mirror: String,
    /// The worktree's name below the home's worktrees.
    pub directory: String,
    /// The issue's branch.
    pub branch: String,
    /// The branch to start from. Defaults to the default branch.
    pub base: Option<String>,
    /// The branch that the issue's work started from, once it has started.
    pub base_branch: Option<String>,
    /// The commit that the issue's work started from, once it has started.
    pub base_sha: Option<String>,
    /// The commit that kugetsu last pushed to the issue's branch.
    pub pushed: Option<String>,
    pub uncommitted: Uncommitted,
    /// Commands that check finished work once it is pushed: programs with their arguments.
    #[serde(default)]
    pub verify: Vec<Vec<String>>,
    /// The tools that its agent gets.
    #[serde(default)]
    pub tools: Vec<IssueTool>,
    /// The variables whose values may be pushed, although their names are those of secrets.
    pub allow_secrets: Vec<String>,
}

/// For a specification of an earlier version, which has no such field: 1 GiB.
fn rescue_max_file() -> u64 {
    1 << 30
}

/// How a run treats files that the agent left uncommitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Uncommitted {
    /// The run is `blocked`.
    Block,
    /// The host commits them.
    Commit,
}

/// Where a repository is cloned from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CloneSource {
    /// A URL, or a directory that `repos.json` names.
    Address(String),
    /// A repository on this machine.
    Path(PathBuf),
}

/// How a server is accessed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerAccess {
    /// The server's address. The token is sent to no other.
    pub base_url: String,
    /// The user name that goes with the token.
    pub user: String,
    /// The name of the variable with the token. It may be unset.
    pub token_variable: String,
}

/// A tool of the coordinator's agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tool {
    List,
    Show,
    Start,
    Continue,
    Queue,
    Logs,
    Why,
}

impl Tool {
    pub const ALL: [Self; 7] =
        [Self::List, Self::Show, Self::Start, Self::Continue, Self::Queue, Self::Logs, Self::Why];

    pub const fn name(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Show => "show",
            Self::Start => "start",
            Self::Continue => "continue",
            Self::Queue => "queue",
            Self::Logs => "logs",
            Self::Why => "why",
        }
    }
}

/// A tool of an issue's agent. All are about that issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IssueTool {
    Issue,
    Checks,
    Comment,
    Ask,
    Blocked,
}

impl IssueTool {
    pub const ALL: [Self; 5] = [Self::Issue, Self::Checks, Self::Comment, Self::Ask, Self::Blocked];
    /// Comments in one run. Further ones are refused.
    pub const COMMENTS_MAX: usize = 5;
    /// Reads of the server in one run.
    pub const READS_MAX: u32 = 40;
    /// Bytes of a comment or a question.
    pub const TEXT_MAX: usize = 4000;

    pub const fn name(self) -> &'static str {
        match self {
            Self::Issue => "issue",
            Self::Checks => "checks",
            Self::Comment => "comment",
            Self::Ask => "ask",
            Self::Blocked => "blocked",
        }
    }
}

/// Values that may be secrets. The daemon writes them to the runner's standard input as one JSON object, so that they are
/// in no file, no argument and no environment but the agent's. If the daemon dies meanwhile, the object is incomplete, and
/// the runner exits before it has done anything.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSecrets {
    /// The variables of the env files. Of several with one name the last one counts.
    pub variables: Vec<(String, String)>,
    /// The names of those that the env file of the agent itself sets.
    #[serde(default)]
    pub own_variables: Vec<String>,
    /// The variables in the agent's configuration. They override all others.
    pub agent_variables: Vec<(String, String)>,
    /// Shows the daemon that the runner is that of the run.
    #[serde(default)]
    pub key: Option<RunKey>,
}

/// Shows no values, not even names.
impl fmt::Debug for RunSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunSecrets").finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Maximum duration of the run.
    pub timeout_seconds: u64,
    /// Maximum time without output of the agent.
    pub silence_seconds: u64,
    /// How many times in a row the agent may make the same tool calls with the same results. 0 is no maximum, also of daemons
    /// that do not know this limit.
    #[serde(default)]
    pub max_repeats: u32,
}

/// Limits of a run's use of the machine. 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceLimits {
    /// Bytes of memory of the agent with everything that it starts.
    pub memory: u64,
    /// Their processes and threads.
    pub processes: u64,
    /// The share of processors and disks compared with that of other runs; the kernel's default is 100.
    pub weight: u64,
    /// Bytes by which the run's files may grow.
    pub growth: u64,
}

/// A message from the daemon to a runner. The names on the wire are older than those here: a runner that was started by
/// version 0.1 and outlives an upgrade of the daemon understands no others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum RunnerControl {
    /// The stream is open; sent first.
    #[serde(rename = "hello")]
    Ready,
    /// The run was canceled and has to end.
    #[serde(rename = "stop")]
    Cancel {
        /// Whether the agent gets no time to end its turn.
        #[serde(default)]
        at_once: bool,
    },
    /// The settings changed.
    Limits(Limits),
    /// A budget is spent, so the run has to end.
    Spent {
        reason: String,
        #[serde(default)]
        hint: Option<String>,
    },
    /// The run is over for the daemon, or the issue has another one. Later reports are ignored.
    #[serde(rename = "over")]
    Superseded,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runners_of_version_0_1_understand_every_message() {
        let limits = Limits { timeout_seconds: 7, silence_seconds: 5, max_repeats: 20 };
        let wire = |control: &RunnerControl| serde_json::to_string(control).unwrap();
        assert_eq!(wire(&RunnerControl::Ready), r#"{"order":"hello"}"#);
        assert_eq!(wire(&RunnerControl::Cancel { at_once: false }), r#"{"order":"stop","at_once":false}"#);
        let earlier: RunnerControl = serde_json::from_str(r#"{"order":"stop"}"#).unwrap();
        assert_eq!(earlier, RunnerControl::Cancel { at_once: false });
        assert_eq!(
            wire(&RunnerControl::Limits(limits)),
            r#"{"order":"limits","timeout_seconds":7,"silence_seconds":5,"max_repeats":20}"#
        );
        assert_eq!(wire(&RunnerControl::Superseded), r#"{"order":"over"}"#);
    }

    #[test]
    fn secrets_are_not_part_of_debug_output() {
        let secrets = RunSecrets { variables: vec![("TOKEN".into(), "hunter2".into())], ..RunSecrets::default() };
        assert_eq!(format!("{secrets:?}"), "RunSecrets { .. }");
    }
}
