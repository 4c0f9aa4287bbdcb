//! Records: the lines of a run's transcript. The daemon stores those that are facts.

use serde::{Deserialize, Serialize};

use crate::endpoint::flag;
use crate::run::Usage;

/// Maximum length of a record as a line, in bytes. The writer truncates its text.
pub const RECORD_MAX: usize = 1024 * 1024;
/// Maximum length of a report, in bytes.
pub const REPORT_MAX: usize = 2 * RECORD_MAX;

/// The state of a run whose agent was killed: its task is tried again.
pub const LOST: &str = "lost";

/// One line of a run's transcript.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Milliseconds since 1970 UTC.
    pub at: i64,
    #[serde(flatten)]
    pub body: Body,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Body {
    /// The records of this run follow. The daemon adds it to the stream; no file has it.
    Run {
        /// The ID of the run.
        run: String,
        /// The ID of its task.
        task: String,
    },
    /// The runner starts a step of its own work.
    Step { text: String },
    /// A message for the user.
    Notice { text: String },
    /// Fact: the files are ready.
    Worktree {
        /// The name of its directory.
        directory: String,
        branch: String,
        /// The branch that the work started from.
        base_branch: Option<String>,
        /// The commit that the work started from.
        base_sha: Option<String>,
    },
    /// Fact: the agent no longer has the session.
    SessionLost { session: String },
    /// Fact: the agent's session is open.
    Session {
        /// The agent's ID of it.
        session: String,
        /// Whether it existed before.
        resumed: bool,
        /// The agent's name and version.
        agent: String,
        /// The model, if the agent reports it.
        #[serde(default)]
        model: Option<String>,
    },
    /// Fact: the model has answered. Written again if the run has used more.
    Progress {
        /// Usage of the run so far.
        usage: Usage,
    },
    /// The message to the agent.
    Prompt { text: String },
    /// Output of the agent.
    Text { text: String },
    /// Reasoning of the agent.
    Thought { text: String },
    ToolStarted {
        /// The ID of the call.
        id: String,
        title: String,
        /// Truncated.
        input: String,
    },
    ToolEnded {
        /// The ID of the call.
        id: String,
        /// Whether it succeeded. A tool that ran a command succeeds whatever the command's exit code is.
        ok: bool,
        /// The exit code of a command, if the agent reports it.
        #[serde(default)]
        exit_code: Option<i32>,
        /// Truncated.
        output: String,
    },
    /// The agent's plan. It replaces earlier ones.
    Plan { steps: Vec<PlanStep> },
    /// A permission request of the agent, and the answer.
    Permission { title: String, answer: String },
    /// A command that checked the work has ended.
    Verified {
        command: String,
        /// The commit that it checked.
        head_sha: String,
        passed: bool,
        /// Output of a command that failed, shortened to its errors.
        output: String,
    },
    /// Fact: the agent wrote a comment on its issue.
    Comment {
        /// Counted from 1 within the run.
        number: u32,
        /// Whether it waits for the answer of a person.
        question: bool,
        text: String,
    },
    /// The usage of the session so far.
    Usage { usage: Usage },
    /// The runner disappeared or was killed. Written by the daemon, as the last record but for what it does afterwards.
    Lost {
        /// For people.
        reason: String,
    },
    /// Fact: the run has ended, and no process of it is left.
    Ended {
        /// `done`, `blocked`, `failed`, `timeout`, `canceled`, `paused` or [`LOST`].
        state: String,
        reason: String,
        /// A command that the user can type next, or other advice. Earlier versions wrote it as a part of `reason`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
        /// Of `paused`: when the model may be available again, in milliseconds since 1970 UTC; none if the provider named no time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        paused_until: Option<i64>,
        /// The latest commit of the work.
        head_sha: Option<String>,
        /// Number of commits since `base_sha`.
        commits: u64,
        /// Whether `head_sha` is on the branch at the server.
        pushed: bool,
        usage: Usage,
    },
}

impl Body {
    /// Whether the daemon stores it as an event.
    pub const fn is_fact(&self) -> bool {
        match self {
            Self::Worktree { .. }
            | Self::SessionLost { .. }
            | Self::Session { .. }
            | Self::Progress { .. }
            | Self::Comment { .. }
            | Self::Ended { .. } => true,
            Self::Run { .. }
            | Self::Step { .. }
            | Self::Notice { .. }
            | Self::Prompt { .. }
            | Self::Text { .. }
            | Self::Thought { .. }
            | Self::ToolStarted { .. }
            | Self::ToolEnded { .. }
            | Self::Plan { .. }
            | Self::Permission { .. }
            | Self::Verified { .. }
            | Self::Usage { .. }
            | Self::Lost { .. } => false,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanStep {
    pub text: String,
    /// `pending`, `in_progress` or `completed`.
    pub state: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TranscriptQuery {
    /// The issue in any accepted form, or the ID of its session.
    pub reference: String,
    #[serde(default)]
    pub cwd: String,
    /// Selects runs that ended after this time (RFC 3339), or have not ended.
    pub since: Option<String>,
    /// Selects the run with this ID.
    #[serde(default)]
    pub run: Option<String>,
    /// Whether the stream continues until no task of the issue is queued or running.
    #[serde(default, deserialize_with = "flag")]
    pub follow: bool,
}

/// A runner's report: the facts that the daemon has not acknowledged, and how long the records are. The records themselves
/// stay in the run's file.
///
/// A runner that gets no response sends the same facts again. The daemon recognizes by their offsets which it has stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub run: String,
    /// In the order of the records.
    pub facts: Vec<ReportedFact>,
    /// Bytes of whole records in the file. Never less than the end of the last fact.
    pub length: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReportedFact {
    /// The byte after its record in the file.
    pub end: u64,
    #[serde(flatten)]
    pub fact: Body,
}

/// The response to a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged {
    /// Every fact before this byte of the records is stored.
    pub offset: u64,
    /// The run is over for the daemon, and its later reports are ignored.
    pub over: bool,
}
