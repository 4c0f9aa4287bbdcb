//! From which message of the user's a task of the coordinator's comes, and how much it may still start.

use kugetsu_api::problem::Problem;
use kugetsu_domain::ids::TaskId;
use kugetsu_domain::task::{Task, TaskKind, TaskState};
use kugetsu_store::error::StoreError;

use crate::engine::Engine;
use crate::problems::{store_failed, usage};

/// Maximum number of reports per message after which the coordinator may still start tasks: one that keeps failing to fix
/// a failure must not do so all night.
pub(crate) const ROUNDS_MAX: usize = 5;

/// Maximum number of tasks that the coordinator may start during one of its own.
const TASKS_MAX: usize = 50;

/// The chain from a task of the coordinator's back to a message.
#[derive(Default)]
pub(crate) struct Lineage {
    /// The user's message; `None` if it was cleaned away.
    pub(crate) message: Option<Task>,
    /// Number of reports since.
    pub(crate) rounds: usize,
}

/// Follows a task of the coordinator's back to the message it comes from.
pub(crate) async fn lineage(engine: &Engine, task: TaskId) -> Result<Lineage, StoreError> {
    let (mut lineage, mut next) = (Lineage::default(), Some(task));
    while let Some(id) = next
        && let Some(task) = engine.store().view(id).await?.map(|view| view.task)
    {
        lineage.rounds += usize::from(task.kind == TaskKind::Report);
        next = task.asked_by;
        lineage.message = Some(task);
    }
    Ok(lineage)
}

/// Checks that the coordinator may start a task during this one of its own.
///
/// # Errors
/// It is not a running task of the coordinator's, or a limit is reached.
pub(crate) async fn may_start(engine: &Engine, task: TaskId) -> Result<(), Problem> {
    let stored = engine.store().view(task).await.map_err(store_failed)?;
    let current =
        stored.map(|view| view.task).filter(|task| matches!(task.kind, TaskKind::Delegate | TaskKind::Report));
    let Some(current) = current else { return Err(usage(format!("{task} is not a task of the coordinator"))) };
    if current.state != TaskState::Running || current.cancel_requested {
        return Err(usage("this message is over; nothing more is started for it"));
    }
    let lineage = lineage(engine, task).await.map_err(store_failed)?;
    if lineage.rounds >= ROUNDS_MAX {
        return Err(usage(format!("this message has had {ROUNDS_MAX} rounds; nothing more is started for it"))
            .hint("report to the user; a new message (kugetsu delegate) starts afresh"));
    }
    let delegated = engine.store().delegated_tasks(task).await.map_err(store_failed)?;
    let started = delegated.iter().filter(|task| task.view.task.kind != TaskKind::Report).count();
    if started >= TASKS_MAX {
        return Err(usage(format!("{TASKS_MAX} tasks were started during this message, which is the limit"))
            .hint("end the turn and report; the rest can be started in the next round"));
    }
    Ok(())
}
