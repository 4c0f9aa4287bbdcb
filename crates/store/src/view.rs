//! Values that the store returns.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kugetsu_domain::ids::{IssueId, RunId, TaskId};
use kugetsu_domain::issue::{Issue, IssueState, Worktree};
use kugetsu_domain::pull_request::PrLink;
use kugetsu_domain::reason::Reason;
use kugetsu_domain::reference::{ForgeKind, IssueRef, RepoRef};
use kugetsu_domain::run::{Run, RunState, Usage};
use kugetsu_domain::task::{Task, TaskKind};
use kugetsu_domain::watch::conditions::Condition;

/// A stored repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repo {
    pub name: RepoRef,
    /// `None` while it is unknown which program serves it.
    pub kind: Option<ForgeKind>,
    /// The address or path that git clones from and pushes to.
    pub source: String,
}

/// The state of a watched repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WatchState {
    /// Every change of its issues up to this time was read; `None` before the first poll.
    pub since: Option<Timestamp>,
    /// The last time that the server answered.
    pub polled_at: Option<Timestamp>,
    /// Why the last poll failed.
    pub error: Option<String>,
    /// The time of the latest delivery of its webhook, or of its creation.
    pub hooked_at: Option<Timestamp>,
    /// When a poll last found what a webhook would have reported.
    pub missed_at: Option<Timestamp>,
}

/// A poll of a watched repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poll {
    /// Every change up to this time was read.
    pub since: Option<Timestamp>,
    pub at: Timestamp,
    /// Why it failed.
    pub error: Option<String>,
}

impl WatchState {
    /// Whether its webhook works, as far as is known: what happened after the last delivery was reported.
    pub fn has_hook(&self) -> bool {
        self.hooked_at.is_some_and(|hooked| self.missed_at.is_none_or(|missed| hooked > missed))
    }
}

/// A fact about the webhook of a watched repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookNews {
    /// A delivery came.
    Worked,
    /// A poll found what it did not report.
    Missed,
}

/// The issues of a watch that are not over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchLoad {
    /// Those with a queued or running task.
    pub running: u32,
    /// Those of them that matched a rule with a limit, by the rule.
    pub running_by_rule: BTreeMap<String, u32>,
    /// Those whose pull request is open, or about to be opened.
    pub open_pull_requests: u32,
    /// Those of them whose pull request is not opened yet.
    pub unopened_pull_requests: u32,
    /// Those whose pull request was closed without a merge, and may be opened again.
    pub closed_pull_requests: u32,
}

/// An issue of a watched repository that was handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Of title and description when the issue was first seen with the label: what the label approves.
    pub text_hash: String,
    /// When the issue had last changed then, by the server's clock.
    pub seen_at: Timestamp,
    /// As they were found the last time.
    pub conditions: Vec<Condition>,
    /// The rule that the issue matched then, if that has a limit.
    pub rule: Option<String>,
    pub read_at: Timestamp,
}

/// A task with its issue and its latest run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunView {
    pub issue: IssueId,
    pub reference: IssueRef,
    pub issue_state: IssueState,
    pub title: String,
    pub worktree: Option<Worktree>,
    pub pr: Option<PrLink>,
    /// The issue's current session, not that of `run`.
    pub session: Option<String>,
    pub task: Task,
    pub run: Option<Run>,
}

/// A task that the coordinator delegated, or a report to it.
#[derive(Clone, Debug, PartialEq)]
pub struct DelegatedTask {
    pub view: RunView,
    /// The task has ended, or waits for one that ended other than `done` and so does not start by itself. Never true of
    /// a report.
    pub is_settled: bool,
}

impl RunView {
    pub fn new(issue: Issue, task: Task, run: Option<Run>) -> Self {
        Self {
            issue: issue.id,
            reference: issue.reference,
            issue_state: issue.state,
            title: issue.title,
            worktree: issue.worktree,
            pr: issue.pr,
            session: issue.session.map(|session| session.id),
            task,
            run,
        }
    }

    /// Returns the run's usage: zero without a run, and unknown until the run has ended with a report.
    pub fn usage(&self) -> Usage {
        let Some(run) = &self.run else { return Usage::ZERO };
        run.outcome.as_ref().map(|outcome| outcome.usage).unwrap_or_default()
    }
}

/// An event in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredEvent {
    /// Position in the log, from 1, without gaps but for old events that were deleted.
    pub seq: i64,
    pub at: Timestamp,
    pub issue: IssueId,
    pub task: Option<TaskId>,
    pub run: Option<RunId>,
    /// [`Event::name`](kugetsu_domain::flow::Event::name).
    pub kind: String,
    /// The event's other fields.
    pub data: serde_json::Value,
}

/// The latest runs of an agent.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentRuns {
    pub agent: String,
    /// Newest first.
    pub ended: Vec<EndedRun>,
    /// When the runs in progress started, and whether the model has answered them.
    pub live: Vec<(Timestamp, bool)>,
}

/// Sum of the usage of runs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct UsageSum {
    /// US dollars.
    pub cost_usd: f64,
    pub tokens: f64,
    /// Ended runs whose cost is not known.
    pub unknown_costs: u64,
    /// Ended runs whose tokens are not known.
    pub unknown_tokens: u64,
}

/// Usage of a run in progress.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveUsage {
    pub issue: IssueId,
    pub repo: RepoRef,
    /// The name of the agent profile.
    pub agent: String,
    pub used: Usage,
}

/// Usage of the latest runs of a repository and an agent that were done.
#[derive(Clone, Debug, PartialEq)]
pub struct RecentUsage {
    pub repo: RepoRef,
    /// The name of the agent profile.
    pub agent: String,
    pub used: Vec<Usage>,
}

/// A run that has ended, as far as it shows whether its agent works.
#[derive(Clone, Debug, PartialEq)]
pub struct EndedRun {
    pub id: RunId,
    pub kind: TaskKind,
    pub state: RunState,
    /// Whether the agent opened a session.
    pub has_session: bool,
    /// Whether the model answered.
    pub answered: bool,
    pub ended_at: Timestamp,
    pub reason: Option<Reason>,
}
