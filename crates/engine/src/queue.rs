//! `kugetsu queue`: cancels tasks and retries ended ones.

use std::path::Path;

use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::TaskId;
use kugetsu_domain::task::TaskState;
use kugetsu_store::view::RunView;

use crate::engine::Engine;
use crate::problems::{internal, not_stored, store_failed};
use crate::queries::tasks;

/// A task that was changed.
#[derive(Clone, Debug)]
pub struct Changed {
    pub view: RunView,
    /// Warnings for the user.
    pub notes: Vec<String>,
}

/// Cancels a task, which is named by its id or its issue: removes it from the queue, or stops its run.
///
/// # Errors
/// There is no such task, or it has ended.
pub async fn cancel(engine: &Engine, name: &str, cwd: &Path) -> Result<RunView, Problem> {
    let view = tasks::live_task(engine, name, cwd).await?;
    if !matches!(view.task.state, TaskState::Queued | TaskState::Running) {
        return Err(ended(&view));
    }
    let event = Event::CancelRequested { task: view.task.id };
    engine.apply(view.issue, event).await.map_err(|error| not_stored(&view.reference, error))?;
    reload(engine, view.task.id).await
}

/// Queues an ended task again.
///
/// # Errors
/// There is no such task, it has not ended, or it is done.
pub async fn retry(engine: &Engine, name: &str, cwd: &Path) -> Result<Changed, Problem> {
    let view = tasks::task(engine, name, cwd).await?;
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
            .hint(format!("continue it with `kugetsu continue {} \"<message>\"`", view.reference)));
        }
        TaskState::Blocked | TaskState::Failed | TaskState::Timeout | TaskState::Canceled => {}
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

fn ended(view: &RunView) -> Problem {
    use kugetsu_domain::machine::Machine;
    Problem::new(
        ProblemKind::Conflict,
        format!("the task for {} has already ended: it is {}", view.reference, view.task.state.name()),
    )
    .hint(format!("continue it with `kugetsu continue {} \"<message>\"`", view.reference))
}

async fn reload(engine: &Engine, task: TaskId) -> Result<RunView, Problem> {
    let view = engine.store().view(task).await.map_err(store_failed)?;
    view.ok_or_else(|| internal("the task is no longer stored"))
}
