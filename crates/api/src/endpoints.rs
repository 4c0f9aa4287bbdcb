//! The endpoints of the daemon.

use crate::adopt::{AdoptRequest, AdoptedObject};
use crate::delegate::{CandidateObject, DelegateObject, DelegateRequest};
use crate::endpoint::{Endpoint, ListEndpoint, NoFields, StreamEndpoint};
use crate::event::{EventObject, EventsQuery};
use crate::gc::{GcObject, GcRequest};
use crate::issue::{
    AtRisk, DestroyRequest, Destroyed, DiffObject, DiffQuery, IssueCounts, IssueQuery, IssuesQuery, Planted, PrSet,
    SetPrRequest,
};
use crate::pause::{PauseObject, PauseRequest, StopRequest, StoppedObject};
use crate::record::{Acknowledged, Record, Report, TranscriptQuery};
use crate::repo::{HookObject, MoveRepoRequest, RepoObject, RepoQuery};
use crate::rescue::{DropRescuesRequest, RescueObject, RescuesQuery, RestoreRequest, Restored};
use crate::run::{RunObject, RunQuery, ToolText};
use crate::run_spec::RunnerControl;
use crate::status::{HealthObject, StatusObject};
use crate::task::{CleanRequest, CleanedTasks, MoveTaskRequest, TaskObject, TaskQuery, TaskRequest, TasksQuery};
use crate::watch::{PollObject, PollRequest, ProbeObject, ProbeRequest, WatchObject};
use crate::why::WhyObject;

/// Version of the protocol between commands, runners and the daemon. It grows when a command cannot work with a daemon of the
/// version before.
pub const PROTOCOL: u32 = 1;

/// A header of every response while something is wrong with the daemon: a JSON array of messages for people.
pub const WARNINGS_HEADER: &str = "kugetsu-warnings";

/// Whether the daemon works. It answers at once, or not at all.
pub const HEALTH: Endpoint<NoFields, HealthObject> = Endpoint::get("/v1/health");
pub const STATUS: Endpoint<NoFields, StatusObject> = Endpoint::get("/v1/status");
/// Checks the database. Returns a sentence for each problem.
pub const CHECK: Endpoint<NoFields, Vec<String>> = Endpoint::get("/v1/check");
/// Stops the daemon; runs continue.
pub const STOP: Endpoint<NoFields, ()> = Endpoint::post("/v1/stop");
/// Reads the settings again.
pub const RELOAD: Endpoint<NoFields, ()> = Endpoint::post("/v1/reload");

/// Lets no agent start in a repository, or anywhere.
pub const PAUSE: Endpoint<PauseRequest, PauseObject> = Endpoint::post("/v1/pause");
/// Ends a pause.
pub const RESUME: Endpoint<PauseRequest, PauseObject> = Endpoint::post("/v1/resume");

/// Ends agents at once. It answers when they are gone.
pub const STOP_RUNS: Endpoint<StopRequest, StoppedObject> = Endpoint::post("/v1/runs/stop");

/// Removes what is old from the home.
pub const GC: Endpoint<GcRequest, GcObject> = Endpoint::post("/v1/gc");

pub const QUEUE_TASK: Endpoint<TaskRequest, TaskObject> = Endpoint::post("/v1/tasks");
pub const LIST_TASKS: ListEndpoint<TasksQuery, TaskObject> = ListEndpoint::new("/v1/tasks");
pub const SHOW_TASK: Endpoint<TaskQuery, TaskObject> = Endpoint::get("/v1/tasks/{task}");
pub const CANCEL_TASK: Endpoint<TaskQuery, TaskObject> = Endpoint::post("/v1/tasks/{task}/cancel");
pub const MOVE_TASK: Endpoint<MoveTaskRequest, TaskObject> = Endpoint::post("/v1/tasks/{task}/move");
pub const RETRY_TASK: Endpoint<TaskQuery, TaskObject> = Endpoint::post("/v1/tasks/{task}/retry");
/// Removes ended tasks from the history.
pub const CLEAN_TASKS: Endpoint<CleanRequest, CleanedTasks> = Endpoint::post("/v1/tasks/clean");

pub const DELEGATE: Endpoint<DelegateRequest, TaskObject> = Endpoint::post("/v1/delegate");
/// Returns the issues that a message may refer to.
pub const DELEGATE_CANDIDATES: Endpoint<DelegateRequest, Vec<CandidateObject>> =
    Endpoint::post("/v1/delegate/candidates");
/// Returns the results of a message.
pub const DELEGATED: Endpoint<TaskQuery, DelegateObject> = Endpoint::get("/v1/delegate/{task}");

/// Adopts work that started before kugetsu.
pub const ADOPT: Endpoint<AdoptRequest, AdoptedObject> = Endpoint::post("/v1/adopt");

/// The latest run of every issue, newest first. The coordinator is not listed.
pub const LIST_ISSUES: ListEndpoint<IssuesQuery, RunObject> = ListEndpoint::new("/v1/issues");
pub const COUNT_ISSUES: Endpoint<NoFields, IssueCounts> = Endpoint::get("/v1/issues/counts");
pub const SHOW_ISSUE: Endpoint<IssueQuery, RunObject> = Endpoint::get("/v1/issue");
/// The issue's latest task.
pub const ISSUE_TASK: Endpoint<IssueQuery, TaskObject> = Endpoint::get("/v1/issue/task");
/// Why the issue's latest task is in its state.
pub const ISSUE_WHY: Endpoint<IssueQuery, WhyObject> = Endpoint::get("/v1/issue/why");
/// The difference between the issue's files and the commit that its work began at.
pub const ISSUE_DIFF: Endpoint<DiffQuery, DiffObject> = Endpoint::get("/v1/issue/diff");
/// Lists what programs of the user would execute in the issue's worktree, apart from what its base has.
pub const ISSUE_PLANTED: Endpoint<IssueQuery, Planted> = Endpoint::get("/v1/issue/planted");
/// Sets or clears the issue's pull request.
pub const SET_PULL_REQUEST: Endpoint<SetPrRequest, PrSet> = Endpoint::post("/v1/issue/change");
/// Returns what destroying the issue would lose.
pub const ISSUE_AT_RISK: Endpoint<IssueQuery, AtRisk> = Endpoint::get("/v1/issue/at-risk");
/// Removes the issue's files and session.
pub const DESTROY_ISSUE: Endpoint<DestroyRequest, Destroyed> = Endpoint::post("/v1/issue/destroy");

pub const EVENTS: StreamEndpoint<EventsQuery, EventObject> = StreamEndpoint::new("/v1/events");
/// The records of an issue's runs.
pub const TRANSCRIPT: StreamEndpoint<TranscriptQuery, Record> = StreamEndpoint::new("/v1/transcript");

pub const LIST_RESCUES: Endpoint<RescuesQuery, Vec<RescueObject>> = Endpoint::get("/v1/rescues");
pub const RESTORE_RESCUE: Endpoint<RestoreRequest, Restored> = Endpoint::post("/v1/rescues/restore");
/// Deletes rescues for good. Returns them.
pub const DROP_RESCUES: Endpoint<DropRescuesRequest, Vec<RescueObject>> = Endpoint::post("/v1/rescues/drop");

/// The repositories, oldest first.
pub const LIST_REPOS: Endpoint<NoFields, Vec<RepoObject>> = Endpoint::get("/v1/repos");
/// Makes kugetsu use a local repository at its new path.
pub const MOVE_REPO: Endpoint<MoveRepoRequest, RepoObject> = Endpoint::post("/v1/repos/move");
/// Removes a repository's mirror, and the repository from lists.
pub const FORGET_REPO: Endpoint<RepoQuery, RepoObject> = Endpoint::post("/v1/repos/forget");

/// The watched repositories, by their names.
pub const LIST_WATCHES: Endpoint<NoFields, Vec<WatchObject>> = Endpoint::get("/v1/watches");
/// Reads what the token may do in a repository. Changes nothing.
pub const PROBE_REPO: Endpoint<ProbeRequest, ProbeObject> = Endpoint::post("/v1/watches/probe");
/// Reads watched repositories now, and starts the issues that meet every condition.
pub const POLL_WATCHES: Endpoint<PollRequest, Vec<PollObject>> = Endpoint::post("/v1/watches/poll");
/// Creates the webhook of a watched repository on its server, unless it has one.
pub const CREATE_HOOK: Endpoint<RepoQuery, HookObject> = Endpoint::post("/v1/hooks");
/// Returns the address and the secret of that webhook, for a person who creates it.
pub const SHOW_HOOK: Endpoint<RepoQuery, HookObject> = Endpoint::get("/v1/hook");

/// A runner's report.
pub const REPORT_RUN: Endpoint<Report, Acknowledged> = Endpoint::post("/v1/runs/{run}/facts");
/// The present state of a run's issue on its server, for the run's agent.
pub const RUN_ISSUE: Endpoint<RunQuery, ToolText> = Endpoint::get("/v1/runs/{run}/issue");
/// The checks of the pull request of a run's issue, for the run's agent.
pub const RUN_CHECKS: Endpoint<RunQuery, ToolText> = Endpoint::get("/v1/runs/{run}/checks");
/// Messages to a runner while its run is live.
pub const RUN_CONTROL: StreamEndpoint<RunQuery, RunnerControl> = StreamEndpoint::new("/v1/runs/{run}/orders");
