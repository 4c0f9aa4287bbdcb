//! `kugetsu queue`: cancels tasks, retries ended ones, and removes old ones.

use std::path::Path;
use std::time::Duration;

use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::TaskId;
use kugetsu_domain::task::TaskState;
use kugetsu_store::error::StoreError;
use kugetsu_store::view::RunView;

use crate::engine::Engine;
use crate::home::{backups, reserve};
use crate::problems::{internal, not_stored, store_failed};
use crate::queries::tasks;
use crate::repositories;
use kugetsu_api::discard::discard_run;

/// Interval of removing old tasks. They are kept for days.
const CLEAN_INTERVAL: Duration = Duration::from_secs(3600);

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

/// Removes tasks that ended longer ago than `older_than`, except the latest of each issue, and the events and the directories
/// of runs from before that time. Returns the number of tasks.
pub async fn clean(engine: &Engine, older_than: Duration) -> Result<u64, Problem> {
    let age = i64::try_from(older_than.as_secs()).unwrap_or(i64::MAX);
    let before = engine.now().checked_sub(jiff::SignedDuration::from_secs(age)).unwrap_or(jiff::Timestamp::MIN);
    let removed = engine.store().clean(before).await.map_err(store_failed)?;
    // Also those that an earlier removal did not get to.
    remove_expired_runs(engine).await.map_err(internal)?;
    Ok(removed.tasks)
}

/// Makes the daily backup and removes old tasks, now and every hour, for as long as it is polled. The settings may change
/// meanwhile.
pub(crate) async fn maintain(engine: Engine) {
    loop {
        let keep = engine.settings().db.backups;
        match backups::make_daily(engine.home(), engine.store(), keep, engine.now()).await {
            Ok(None) => {}
            Ok(Some(path)) => tracing::info!(path = %path.display(), "the database is backed up"),
            Err(error) => tracing::warn!(%error, "the database could not be backed up; the next attempt is in an hour"),
        }
        let home = engine.home().clone();
        let made = tokio::task::spawn_blocking(move || reserve::make(&home)).await;
        if let Err(error) = made.map_err(std::io::Error::from).flatten() {
            tracing::warn!(%error, "no space could be reserved for a full disk");
        }
        match clean(&engine, engine.settings().queue.keep).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "ended tasks older than queue.keep are removed"),
            Err(error) => tracing::warn!(%error, "old tasks could not be removed; the next attempt is in an hour"),
        }
        remove_leftovers(&engine).await;
        engine.clock().sleep(CLEAN_INTERVAL).await;
    }
}

/// Removes what killed runners left: temporary files, refs and locks in mirrors, and empty cgroups. What cannot be removed is
/// tried again an hour later.
async fn remove_leftovers(engine: &Engine) {
    match tokio::task::spawn_blocking(kugetsu_process::remove_abandoned_cgroups).await {
        Ok(0) | Err(_) => {}
        Ok(removed) => tracing::info!(removed, "cgroups without processes are removed"),
    }
    let repos = match engine.store().repos().await {
        Ok(repos) => repos,
        Err(error) => return tracing::warn!(%error, "the repositories cannot be listed"),
    };
    for repo in repos {
        let removed = match repositories::mirror_if_there(engine, &repo).await {
            Ok(Some(mirror)) => mirror.remove_leftovers().await,
            Ok(None) => continue,
            Err(error) => Err(error),
        };
        if let Err(error) = removed {
            tracing::warn!(repo = %repo.name, %error, "leftovers in the mirror could not be removed");
        }
    }
}

/// Removes the directories of expired runs. They are recorded as removed afterwards, so a removal that is cut off is repeated.
/// A directory that cannot be removed is logged and tried again the next time.
async fn remove_expired_runs(engine: &Engine) -> Result<(), StoreError> {
    let mut removed = Vec::new();
    for run in engine.store().expired_runs().await? {
        let directory = engine.home().run(run);
        match discard_run(&directory).await {
            Ok(()) => removed.push(run),
            Err(error) => {
                tracing::warn!(path = %directory.path().display(), %error, "an old run's directory could not be removed");
            }
        }
    }
    match removed.is_empty() {
        true => Ok(()),
        false => engine.store().runs_removed(removed).await,
    }
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
