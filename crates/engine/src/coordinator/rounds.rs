//! How often the coordinator may begin anew for one message.

use kugetsu_api::problem::Problem;
use kugetsu_domain::ids::TaskId;
use kugetsu_domain::task::{Task, TaskKind, TaskState};
use kugetsu_store::error::StoreError;

use crate::engine::Engine;
use crate::problems::{internal, store_failed, usage};

/// How often the coordinator may begin anew after it was told what became of its last tasks, for one message. A
/// coordinator that mends what fails, and fails to, must not do so all night.
pub(crate) const ROUNDS_MAX: usize = 5;

/// How many tasks the coordinator may ask for during one of its own. More is no plan but a loop.
const ASKED_MAX: u64 = 50;

/// How a task of the coordinator's came to be.
#[derive(Default)]
pub(crate) struct Way {
    /// The person's message; none if it was cleaned away.
    pub(crate) first: Option<Task>,
    /// How often the coordinator was told since what became of its tasks.
    pub(crate) rounds: usize,
}

/// Follows a task of the coordinator's back to the message that it came from.
///
/// # Errors
/// [`StoreError`].
pub(crate) async fn way(engine: &Engine, task: TaskId) -> Result<Way, StoreError> {
    let (mut way, mut at) = (Way::default(), Some(task));
    while let Some(id) = at
        && let Some(found) = engine.store().view(id).await?.map(|view| view.task)
    {
        way.rounds += usize::from(found.kind == TaskKind::Report);
        at = found.asked_by;
        way.first = Some(found);
    }
    Ok(way)
}

/// Whether the coordinator may ask for something during this task of its own.
///
/// # Errors
/// A [`Problem`] that says why not.
pub(crate) async fn may_ask(engine: &Engine, task: TaskId) -> Result<(), Problem> {
    let found = engine.store().view(task).await.map_err(store_failed)?;
    let now = found.map(|view| view.task).filter(|task| matches!(task.kind, TaskKind::Delegate | TaskKind::Report));
    let Some(now) = now else { return Err(usage(format!("{task} is no task of the coordinator's"))) };
    if now.state != TaskState::Running || now.cancel_requested {
        return Err(usage("this message is not worked off any more; nothing is begun for it"));
    }
    let way = way(engine, task).await.map_err(internal)?;
    if way.rounds >= ROUNDS_MAX {
        return Err(usage(format!("this message has had {ROUNDS_MAX} rounds; nothing more is begun for it"))
            .hint("report to the person; a new message (kugetsu delegate) begins afresh"));
    }
    let delegated = engine.store().delegated_tasks(task).await.map_err(store_failed)?;
    let count = delegated.iter().filter(|task| task.view.task.kind != TaskKind::Report).count();
    if count as u64 >= ASKED_MAX {
        return Err(usage(format!("{ASKED_MAX} tasks were asked for already; more are not begun at a time"))
            .hint("end the turn and report; what is left goes into the next round"));
    }
    Ok(())
}
