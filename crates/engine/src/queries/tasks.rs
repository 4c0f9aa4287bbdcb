//! What people ask to see.

use std::path::Path;

use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_domain::ids::TaskId;
use kugetsu_domain::issue::Issue;
use kugetsu_domain::reference::IssueRef;
use kugetsu_forge::references::reference::Reference;
use kugetsu_store::view::RunView;

use crate::engine::Engine;
use crate::problems::{internal, store_failed};
use crate::resolve;

/// How things stand.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Runs that go on.
    pub running: usize,
    /// Places that are taken.
    pub places_taken: usize,
    /// Places that there are.
    pub places: usize,
    /// Tasks that wait.
    pub queued: u64,
    /// The coordinator's latest task, once it was asked something.
    pub coordinator: Option<RunView>,
    /// How many of the tasks that wait are the coordinator's.
    pub coordinator_queued: u64,
}

/// The task with this identifier, or the latest one of this issue.
///
/// # Errors
/// There is no such task.
pub async fn task(engine: &Engine, name: &str, cwd: &Path) -> Result<RunView, Problem> {
    if let Ok(id) = name.parse::<TaskId>() {
        return engine.store().view(id).await.map_err(store_failed)?.ok_or_else(|| {
            Problem::new(ProblemKind::NotFound, format!("there is no task {name}"))
                .hint("`kugetsu queue list --all --json` shows them all")
        });
    }
    issue(engine, name, cwd).await
}

/// The latest task of an issue with its latest run.
///
/// # Errors
/// There is no such issue.
pub async fn issue(engine: &Engine, reference: &str, cwd: &Path) -> Result<RunView, Problem> {
    latest(engine, &resolve::issue(engine, &Reference::new(reference), cwd).await?).await
}

/// The latest task of this issue with its latest run.
pub(crate) async fn latest(engine: &Engine, issue: &Issue) -> Result<RunView, Problem> {
    let view = engine.store().view(issue.id).await.map_err(store_failed)?;
    view.ok_or_else(|| internal(format!("{} has no task", issue.reference)))
}

/// How things stand.
///
/// # Errors
/// The database's words.
pub async fn standing(engine: &Engine) -> Result<Standing, Problem> {
    let store = engine.store();
    let coordinator = store.issue(&IssueRef::coordinator()).await.map_err(store_failed)?;
    let coordinator = match coordinator {
        Some(coordinator) => store.view(coordinator.id).await.map_err(store_failed)?,
        None => None,
    };
    let queue = store.queue(0).await.map_err(store_failed)?;
    Ok(Standing {
        coordinator,
        coordinator_queued: queue.coordinator_queued,
        running: queue.running,
        places_taken: queue.slots_in_use,
        places: engine.settings().agents_max,
        queued: queue.queued,
    })
}
