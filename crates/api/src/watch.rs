//! Watched repositories: their state, what is decided about their issues, and what a token lacks to watch one.

use serde::{Deserialize, Serialize};

/// A watched repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchObject {
    /// The name of its section in `config.toml`.
    pub name: String,
    /// The repository's short reference.
    pub repo: String,
    #[serde(default)]
    pub label: Option<String>,
    #[serde(default)]
    pub assignee: Option<String>,
    /// `owners`, `members`, `collaborators`, or logins with commas between them.
    pub trust: String,
    /// The agent of its tasks.
    pub agent: String,
    #[serde(default)]
    pub model: Option<String>,
    #[serde(default)]
    pub base: Option<String>,
    /// `never`, `when-green` or `when-approved`.
    pub merge: String,
    pub paused: bool,
    /// When its server was last read; RFC 3339, in milliseconds. None before the first poll.
    #[serde(default)]
    pub polled_at: Option<String>,
    /// Seconds between two polls.
    pub poll: u64,
    /// `works` if its webhook reported what there was to report, `missed` if a poll found what it did not report, or
    /// `none` before the first delivery.
    #[serde(default)]
    pub webhook: String,
    /// Why the last poll failed.
    #[serde(default)]
    pub error: Option<String>,
    /// Number of issues that were handed over and are not started.
    pub waiting: u64,
    /// Number of issues with a queued or running task.
    pub running: u64,
    #[serde(default)]
    pub max_running: Option<u32>,
    /// Number of its open pull requests. `max_open_prs` also limits those that are about to be opened.
    pub open_prs: u64,
    #[serde(default)]
    pub max_open_prs: Option<u32>,
}

/// A repository to watch, as the user typed it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeRequest {
    /// An address, `owner/repo`, or a directory.
    pub repo: String,
    pub cwd: String,
    #[serde(default)]
    pub label: Option<String>,
    #[serde(default)]
    pub assignee: Option<String>,
    #[serde(default)]
    pub trust: Option<String>,
    /// The branch that work starts from.
    #[serde(default)]
    pub base: Option<String>,
    /// Whether its pull requests will be merged.
    #[serde(default)]
    pub merges: bool,
    /// The name of the watch, if there is one already.
    #[serde(default)]
    pub watch: Option<String>,
}

/// The rights of the token in the repository. Nothing was changed to find them out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeObject {
    /// The repository's short reference.
    pub repo: String,
    /// Its address, as a setting has it.
    pub url: String,
    /// A name for the watch.
    pub name: String,
    /// The label as the server writes it.
    #[serde(default)]
    pub label: Option<String>,
    /// The user of the token.
    #[serde(default)]
    pub login: Option<String>,
    /// Problems that prevent the work.
    pub problems: Vec<Finding>,
    /// Problems that matter later, or not in every case.
    pub warnings: Vec<Finding>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub message: String,
    /// A command to type, or an action to take.
    #[serde(default)]
    pub hint: Option<String>,
}

/// Selects one watch, or all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollRequest {
    #[serde(default)]
    pub watch: Option<String>,
}

/// The result of a poll.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollObject {
    /// The name of the watch.
    pub watch: String,
    pub repo: String,
    /// Why not all issues were read.
    #[serde(default)]
    pub error: Option<String>,
    /// The issues that were handed over, by their numbers.
    pub issues: Vec<ConsideredObject>,
}

/// An issue that was handed over, and what was decided about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsideredObject {
    /// The issue's short reference.
    pub issue: String,
    pub title: String,
    /// Whether every condition is met, so that it starts. A dry run starts nothing.
    pub starts: bool,
    pub conditions: Vec<ConditionObject>,
}

/// A condition under which an issue starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConditionObject {
    /// The subject, such as `label` or `open pull requests`.
    pub name: String,
    /// `yes`, `no` or `unknown`. What is not known prevents the start.
    pub met: String,
    /// A sentence about what is the case.
    pub fact: String,
    /// When the fact was read; RFC 3339, in milliseconds. None if the server was not read, because another condition prevents the
    /// start.
    #[serde(default)]
    pub read_at: Option<String>,
}

/// An issue that a watch handed over, from its start to its merge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowObject {
    /// The name of the watch.
    pub watch: String,
    #[serde(default)]
    pub pr_url: Option<String>,
    /// `merged` or `closed`, once it is over.
    #[serde(default)]
    pub ended: Option<String>,
    /// Whether a user stopped it.
    pub stopped: bool,
    pub feedback: Vec<FeedbackObject>,
    /// The next thing that it waits for, if the server was read.
    #[serde(default)]
    pub waits_for: Option<String>,
    /// When its pull request is looked at again at the latest; RFC 3339, in milliseconds. Absent during a look.
    #[serde(default)]
    pub next_look: Option<String>,
    /// Number of comments by people who are not trusted, which the agent does not get.
    #[serde(default)]
    pub left_out: Option<u64>,
}

/// Feedback of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedbackObject {
    /// `conflict`, `ci`, `review`, `bot_review` or `merge`.
    pub kind: String,
    /// How many times the agent got some.
    pub given: u32,
    /// How many times it gets some before a person has to decide.
    pub budget: u32,
    /// `given`, `settled` or `stopped`.
    pub state: String,
    /// Why a person has to decide.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Work that could start, while nothing was started for the time of `queue.stall_alarm`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StallObject {
    /// Since when nothing was started; RFC 3339, in milliseconds.
    pub since: String,
    /// Number of queued tasks that have a free slot.
    pub tasks: u64,
    /// Issues of watched repositories that meet every condition.
    pub issues: Vec<String>,
}
