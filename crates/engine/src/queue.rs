//! `kugetsu queue`: cancels and moves tasks, and retries ended ones.

use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_api::task::QueueTarget;
use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::TaskId;
use kugetsu_domain::issue::{Issue, IssueState};
use kugetsu_domain::task::{Task, TaskState};
use kugetsu_domain::text::counted;
use kugetsu_store::query::{ViewFilter, ViewQuery};
use kugetsu_store::view::RunView;

use crate::engine::Engine;
use crate::home::reserve;
use crate::pauses;
use crate::problems::{internal, not_stored, store_failed};
use crate::queries::tasks;

/// Most names in a warning.
const LISTED: usize = 5;

/// A task that was changed.
#[derive(Clone, Debug)]
pub struct Changed {
    pub view: RunView,
    /// Warnings for the user.
    pub notes: Vec<String>,
}

/// Cancels a task: removes it from the queue, or stops its run.
///
/// # Errors
/// There is no such task, or it has ended.
pub async fn cancel(engine: &Engine, task: TaskId) -> Result<Changed, Problem> {
    let view = reload(engine, task).await?;
    if !matches!(view.task.state, TaskState::Queued | TaskState::Running) {
        return Err(ended(&view));
    }
    // What fills the disk may be the run that is to end.
    reserve::give_up_if_full(engine.home());
    let event = Event::CancelRequested { task: view.task.id };
    let issue = engine.apply(view.issue, event).await.map_err(|error| not_stored(&view.reference, error))?;
    let notes = stays_queued(engine, &issue, view.task.id).await?;
    Ok(Changed { view: reload(engine, view.task.id).await?, notes })
}

/// Warnings about what stays queued although a task of the issue was canceled: the issue's other tasks, which start without
/// it, and tasks that wait for the issue, which do not start any more by themselves.
pub(crate) async fn stays_queued(engine: &Engine, issue: &Issue, canceled: TaskId) -> Result<Vec<String>, Problem> {
    let name = &issue.reference;
    let is_queued = |task: &&Task| task.state == TaskState::Queued && task.id != canceled;
    let own: Vec<String> = issue.tasks.iter().filter(is_queued).map(|task| task.id.to_string()).collect();
    let mut notes = Vec::new();
    if !own.is_empty() {
        let (count, ids) = (counted(own.len() as u64, "more task"), some_of(&own));
        let stay = if own.len() == 1 { "stays" } else { "stay" };
        notes.push(format!("{count} of {name} {stay} queued; cancel with `kugetsu queue cancel {ids}`"));
    }
    let live = engine.store().views(ViewQuery::new(ViewFilter::Live)).await.map_err(store_failed)?.views;
    let waits = |view: &&RunView| view.task.after == Some(issue.id) && view.task.state == TaskState::Queued;
    let waiting: Vec<String> = live.iter().filter(waits).map(|view| view.reference.to_string()).collect();
    // An issue's latest task decides, and one of these may still end as done.
    if !waiting.is_empty() && own.is_empty() {
        let count = counted(waiting.len() as u64, "queued task");
        let starts = if waiting.len() == 1 { "waits for it and starts" } else { "wait for it and start" };
        notes.push(format!(
            "{count} {starts} only when {name} is done; cancel with `kugetsu queue cancel {}`",
            some_of(&waiting)
        ));
    }
    Ok(notes)
}

/// The names as arguments of a command; no more than it takes to see what to type.
fn some_of(names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().take(LISTED).map(String::as_str).collect();
    let more = if names.len() > LISTED { " ..." } else { "" };
    format!("{}{more}", shown.join(" "))
}

/// Queues an ended task again, or ends the pause of a queued one.
///
/// # Errors
/// There is no such task, it has not ended and is not paused, it is done, or its issue was destroyed: a retry continues work, and that is gone.
pub async fn retry(engine: &Engine, task: TaskId) -> Result<Changed, Problem> {
    let view = reload(engine, task).await?;
    if let Some(until) = view.task.not_before {
        let event = Event::PauseEnded { task: view.task.id, until };
        engine.apply(view.issue, event).await.map_err(|error| not_stored(&view.reference, error))?;
        // Otherwise it would wait for the end of the limit in the queue.
        pauses::resume_agent(engine, &view.task.agent).await?;
        return Ok(Changed { view: reload(engine, view.task.id).await?, notes: vec![] });
    }
    match view.task.state {
        TaskState::Queued | TaskState::Running => {
            return Err(Problem::new(ProblemKind::Conflict, format!("the task for {} has not ended", view.reference))
                .hint(format!("follow it with `kugetsu logs -f {}`", view.reference)));
        }
        TaskState::Done => {
            return Err(Problem::new(
                ProblemKind::Conflict,
                format!("cannot retry the task for {}: it is done", view.reference),
            )
            .hint(continue_hint(&view)));
        }
        TaskState::Blocked | TaskState::Failed | TaskState::Timeout | TaskState::Canceled => {}
    }
    if view.issue_state == IssueState::Destroyed {
        let name = &view.reference;
        let again = if name.is_coordinator() {
            "send another message with `kugetsu delegate \"<message>\"`".to_owned()
        } else {
            format!(
                "start it again with `kugetsu start {name} \"<message>\"`; what was rescued: `kugetsu rescue list {name}`"
            )
        };
        let message = format!("cannot retry the task for {name}: the issue was destroyed");
        return Err(Problem::new(ProblemKind::Conflict, message).hint(again));
    }
    let mut notes = Vec::new();
    if view.task.kind.needs_agent() && tasks::has_unpushed_commits(&view) {
        let issue = &view.reference;
        notes.push(format!(
            "this runs the agent again; to push only the commits that it has made, cancel it with `kugetsu queue cancel {issue}`, \
             then run `kugetsu push {issue}`"
        ));
    }
    let event = Event::TaskRetried { task: view.task.clone() };
    engine.apply(view.issue, event).await.map_err(|error| not_stored(&view.reference, error))?;
    Ok(Changed { view: reload(engine, view.task.id).await?, notes })
}

/// Moves a queued task: the scheduler begins tasks by priority, then age.
///
/// # Errors
/// There is no such task, it is not queued, or no priority is left beyond those of the others.
pub async fn move_task(engine: &Engine, task: TaskId, to: QueueTarget) -> Result<Changed, Problem> {
    let view = reload(engine, task).await?;
    match view.task.state {
        TaskState::Queued => {}
        TaskState::Running => {
            return Err(Problem::new(ProblemKind::Conflict, format!("the task for {} is running", view.reference))
                .hint(format!("follow it with `kugetsu logs -f {}`", view.reference)));
        }
        _ => return Err(ended(&view)),
    }
    let live = engine.store().views(ViewQuery::new(ViewFilter::Live)).await.map_err(store_failed)?.views;
    let others = live.iter().filter(|other| other.task.state == TaskState::Queued && other.task.id != view.task.id);
    let priorities = others.clone().map(|other| other.task.priority);
    let current = view.task.priority;
    let priority = match to {
        // A task that is first or last already keeps its priority.
        QueueTarget::First => {
            priorities.max().map_or(Some(current), |max| max.checked_add(1).map(|new| new.max(current)))
        }
        QueueTarget::Last => {
            priorities.min().map_or(Some(current), |min| min.checked_sub(1).map(|new| new.min(current)))
        }
        QueueTarget::Priority(priority) => Some(priority),
    };
    let priority = priority.ok_or_else(|| {
        let limit = if to == QueueTarget::First { "highest" } else { "lowest" };
        let message = format!("cannot move the task for {}: another has the {limit} priority", view.reference);
        Problem::new(ProblemKind::Conflict, message)
            .hint("move that one with `kugetsu queue move <task> --priority 0`; `kugetsu queue list` shows priorities")
    })?;
    let event = Event::TaskMoved { task: view.task.id, priority };
    engine.apply(view.issue, event).await.map_err(|error| not_stored(&view.reference, error))?;
    let issue = engine.store().issue_by_id(view.issue).await.map_err(store_failed)?;
    let is_behind = issue.tasks.first().is_some_and(|first| first.id != view.task.id);
    let notes =
        Vec::from_iter(is_behind.then(|| {
            format!("an earlier task of {} comes first: the tasks of an issue keep their order", view.reference)
        }));
    Ok(Changed { view: reload(engine, view.task.id).await?, notes })
}

fn ended(view: &RunView) -> Problem {
    use kugetsu_domain::machine::Machine;
    Problem::new(
        ProblemKind::Conflict,
        format!("the task for {} has already ended: it is {}", view.reference, view.task.state.name()),
    )
    .hint(continue_hint(view))
}

fn continue_hint(view: &RunView) -> String {
    match view.reference.is_coordinator() {
        true => "send another message with `kugetsu delegate \"<message>\"`".to_owned(),
        false => format!("continue it with `kugetsu continue {} \"<message>\"`", view.reference),
    }
}

async fn reload(engine: &Engine, task: TaskId) -> Result<RunView, Problem> {
    let view = engine.store().view(task).await.map_err(store_failed)?;
    view.ok_or_else(|| internal("the task is no longer stored"))
}
