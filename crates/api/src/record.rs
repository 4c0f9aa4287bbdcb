//! A runner's records: what happens in a run, line by line. They are the run's transcript, and the facts among them are
//! what the daemon stores.

use serde::{Deserialize, Serialize};

use crate::endpoint::flag;
use crate::run::Usage;

/// Longest record as a line, in bytes. The writer shortens its text.
pub const RECORD_MAX: usize = 1024 * 1024;
/// Longest report, in bytes.
pub const REPORT_MAX: usize = 2 * RECORD_MAX;

/// One line of a run's transcript.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// When, in milliseconds since 1970 UTC.
    pub at: i64,
    /// What.
    #[serde(flatten)]
    pub body: Body,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Body {
    /// The runner begins a step of its own work.
    Step {
        /// What it does now.
        text: String,
    },
    /// Something a person should know: what is missing, what was decided.
    Notice {
        /// What.
        text: String,
    },
    /// Fact: the files are ready.
    Worktree {
        /// The directory's name below the home's worktrees.
        directory: String,
        /// The branch of the work.
        branch: String,
        /// The branch it began from.
        base_branch: Option<String>,
        /// The commit it began from.
        base_sha: Option<String>,
    },
    /// Fact: the agent does not know the session any more.
    SessionLost {
        /// The session.
        session: String,
    },
    /// Fact: the agent's session is open.
    Session {
        /// The agent's identifier for it.
        session: String,
        /// Whether it existed before.
        resumed: bool,
        /// The agent's own name and version.
        agent: String,
        /// The model that works, where the agent says so.
        #[serde(default)]
        model: Option<String>,
    },
    /// What the agent is asked.
    Prompt {
        /// The text.
        text: String,
    },
    /// What the agent says.
    Text {
        /// The text.
        text: String,
    },
    /// What the agent thinks aloud.
    Thought {
        /// The text.
        text: String,
    },
    /// The agent begins to use a tool.
    ToolStarted {
        /// The call's identifier.
        id: String,
        /// What it is about.
        title: String,
        /// What it was given, shortened.
        input: String,
    },
    /// The tool is through.
    ToolEnded {
        /// The call's identifier.
        id: String,
        /// Whether it worked.
        ok: bool,
        /// What it answered, shortened.
        output: String,
    },
    /// The agent's plan, which replaces any earlier one.
    Plan {
        /// Its steps, in order.
        steps: Vec<PlanStep>,
    },
    /// The agent asked for a permission, and what it was answered.
    Permission {
        /// What for.
        title: String,
        /// The answer.
        answer: String,
    },
    /// What the session has cost so far.
    Usage {
        /// The numbers.
        usage: Usage,
    },
    /// Fact: the run is over and no process of it is left.
    Ended {
        /// `done`, `blocked`, `failed`, `timeout` or `canceled`.
        state: String,
        /// Why, in words.
        reason: String,
        /// The commit at the top of the work.
        head_sha: Option<String>,
        /// Commits on top of the base.
        commits: u64,
        /// Whether the head is on the branch.
        pushed: bool,
        /// What it cost.
        usage: Usage,
    },
}

impl Body {
    /// Whether the daemon stores it as an event.
    pub const fn is_fact(&self) -> bool {
        matches!(self, Self::Worktree { .. } | Self::SessionLost { .. } | Self::Session { .. } | Self::Ended { .. })
    }
}

/// One step of an agent's plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanStep {
    /// What is to be done.
    pub text: String,
    /// `pending`, `in_progress` or `completed`.
    pub state: String,
}

/// Which records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TranscriptQuery {
    /// The issue: any accepted shape, or a session's identifier.
    pub reference: String,
    #[serde(default)]
    pub cwd: String,
    /// Only the records of runs that ended after this time (RFC 3339), or have not ended.
    pub since: Option<String>,
    /// Whether the stream continues until no task of the issue is queued or running.
    #[serde(default, deserialize_with = "flag")]
    pub follow: bool,
}

/// A runner's report: the facts that the daemon has not acknowledged, and how long the records are. The records themselves
/// stay in the run's file.
///
/// A runner that hears no answer sends the same facts again. The daemon tells by their offsets which it has stored.
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

/// The daemon's answer to a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged {
    /// Every fact before this byte of the records is stored.
    pub offset: u64,
    /// The run is over for the daemon: nothing that it reports counts any more.
    pub over: bool,
}
