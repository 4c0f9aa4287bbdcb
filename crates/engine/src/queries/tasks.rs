//! Tasks and the state of the daemon.

use std::path::Path;

use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_domain::budget::Start;
use kugetsu_domain::hold::{Hold, hold_of};
use kugetsu_domain::ids::{IssueId, TaskId};
use kugetsu_domain::issue::{Issue, IssueState};
use kugetsu_domain::machine::Machine;
use kugetsu_domain::reason::Reason;
use kugetsu_domain::reference::{IssueRef, RepoRef};
use kugetsu_domain::run::Verdict;
use kugetsu_domain::task::{Task, TaskState};
use kugetsu_forge::references::reference::Reference;
use kugetsu_store::error::StoreError;
use kugetsu_store::view::RunView;

use crate::engine::Engine;
use crate::holds;
use crate::problems::{internal, store_failed};
use crate::resolve;

/// The state of the daemon.
#[derive(Clone, Debug, PartialEq)]
pub struct DaemonStatus {
    /// Number of runs in progress.
    pub running: usize,
    pub slots_in_use: usize,
    pub slots: usize,
    /// Number of queued tasks.
    pub queued: u64,
    /// The coordinator's latest task, if it has had any.
    pub coordinator: Option<RunView>,
    /// Number of queued tasks of the coordinator.
    pub coordinator_queued: u64,
    /// The holds of queued tasks.
    pub holds: Vec<Hold>,
}

/// Returns how many queued tasks run before a queued one; `None` if it is not queued, or paused. Tasks of an issue keep their order,
/// whatever their priorities are.
pub async fn position(engine: &Engine, view: &RunView) -> Result<Option<u64>, StoreError> {
    if view.task.state != TaskState::Queued || view.task.not_before.is_some() {
        return Ok(None);
    }
    let Some(own) = engine.store().queue_position(view.task.id).await? else { return Ok(None) };
    let issue = engine.store().issue_by_id(view.issue).await?;
    let before = issue.tasks.iter().take_while(|task| task.id != view.task.id);
    let before: Vec<&Task> = before.filter(|task| task.state == TaskState::Queued).collect();
    let own = own.max(before.len() as u64);
    // The last of them to begin: of equal ones, the later.
    let same_kind = before.iter().filter(|task| task.kind == view.task.kind);
    let Some(last) = same_kind.rev().min_by_key(|task| task.priority) else { return Ok(Some(own)) };
    let ahead_of_last = engine.store().queue_position(last.id).await?.unwrap_or(0);
    // A task of a higher priority is itself counted there; `last` counts instead.
    let behind_last = if view.task.priority > last.priority { ahead_of_last } else { ahead_of_last + 1 };
    Ok(Some(own.max(behind_last)))
}

/// Returns a task, by its id or as the latest one of an issue.
pub async fn task(engine: &Engine, name: &str, cwd: &Path) -> Result<RunView, Problem> {
    match by_id(engine, name).await? {
        Some(task) => Ok(task),
        None => issue(engine, name, cwd).await,
    }
}

/// Like [`task`], but of the issues that `name` may mean, prefers one with a queued or running task.
pub async fn live_task(engine: &Engine, name: &str, cwd: &Path) -> Result<RunView, Problem> {
    match by_id(engine, name).await? {
        Some(task) => Ok(task),
        None => latest(engine, &resolve::live_issue(engine, &Reference::new(name), cwd).await?).await,
    }
}

async fn by_id(engine: &Engine, name: &str) -> Result<Option<RunView>, Problem> {
    let Ok(id) = name.parse::<TaskId>() else { return Ok(None) };
    let view = engine.store().view(id).await.map_err(store_failed)?.ok_or_else(|| {
        Problem::new(ProblemKind::NotFound, format!("no task {name}"))
            .hint("list all tasks with `kugetsu queue list --all --json`")
    })?;
    let holds = holds::current(engine).await.map_err(store_failed)?;
    with_current_reason(engine, view, &holds).await.map(Some).map_err(store_failed)
}

/// Returns the latest task of an issue.
pub async fn issue(engine: &Engine, reference: &str, cwd: &Path) -> Result<RunView, Problem> {
    latest(engine, &resolve::issue(engine, &Reference::new(reference), cwd).await?).await
}

/// Returns the latest task of an issue if it has ended and is not done. A task that waits for the issue stays queued then.
pub(crate) async fn ended_without_success(engine: &Engine, issue: IssueId) -> Result<Option<RunView>, StoreError> {
    let latest = engine.store().view(issue).await?;
    Ok(latest.filter(|latest| latest.task.state.is_final() && latest.task.state != TaskState::Done))
}

/// Whether the latest run of a task made commits that it could not push, so that a push alone may be enough.
pub fn has_unpushed_commits(view: &RunView) -> bool {
    let outcome = view.run.as_ref().and_then(|run| run.outcome.as_ref());
    let has_files = view.worktree.is_some() && view.issue_state == IssueState::Open;
    has_files
        && outcome.is_some_and(|outcome| outcome.commits > 0 && !outcome.pushed && outcome.verdict != Verdict::Done)
}

/// Adds to the reason of a queued task what holds it, or, if it waits for another issue, what that issue is now, unless it can
/// still become done.
///
/// # Errors
/// The other issue could not be read.
pub async fn with_current_reason(engine: &Engine, mut view: RunView, holds: &[Hold]) -> Result<RunView, StoreError> {
    if view.task.state == TaskState::Queued
        && view.task.not_before.is_none()
        && let Some(hold) = hold_of(holds, &start_of(&view.task, &view.reference.repo, Some(view.issue)))
    {
        view.task.reason = Some(holds::describe(hold));
        return Ok(view);
    }
    if view.task.state == TaskState::Queued
        && let Some(after) = view.task.after
        && let Some(other) = ended_without_success(engine, after).await?
    {
        let reason = format!("waits for {}, which is {}", other.reference, other.task.state.name());
        view.task.reason = Some(Reason::from(reason).hint(format!("see why with `kugetsu why {}`", other.reference)));
    }
    Ok(view)
}

/// The start of a task, as far as holds depend on it.
pub(crate) fn start_of<'a>(task: &'a Task, repo: &'a RepoRef, issue: Option<IssueId>) -> Start<'a> {
    Start { kind: task.kind, repo, issue, agent: &task.agent, model: task.model.as_deref() }
}

pub(crate) async fn latest(engine: &Engine, issue: &Issue) -> Result<RunView, Problem> {
    let view = engine.store().view(issue.id).await.map_err(store_failed)?;
    let view = view.ok_or_else(|| internal(format!("{} has no task", issue.reference)))?;
    let holds = holds::current(engine).await.map_err(store_failed)?;
    with_current_reason(engine, view, &holds).await.map_err(store_failed)
}

/// Returns the state of the daemon.
pub async fn status(engine: &Engine) -> Result<DaemonStatus, Problem> {
    let store = engine.store();
    let coordinator = store.issue(&IssueRef::coordinator()).await.map_err(store_failed)?;
    let coordinator = match coordinator {
        Some(coordinator) => store.view(coordinator.id).await.map_err(store_failed)?,
        None => None,
    };
    let queue = store.queue(0).await.map_err(store_failed)?;
    Ok(DaemonStatus {
        coordinator,
        coordinator_queued: queue.coordinator_queued,
        running: queue.running,
        slots_in_use: queue.slots_in_use,
        slots: engine.settings().agents.max,
        queued: queue.queued,
        holds: holds::felt(engine).await.map_err(store_failed)?,
    })
}
