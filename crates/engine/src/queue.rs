//! Ends tasks on request, tries ended ones again, and tidies old ones away.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::{RunId, TaskId};
use kugetsu_domain::task::TaskState;
use kugetsu_store::error::StoreError;
use kugetsu_store::view::RunView;

use crate::engine::{Engine, now};
use crate::problems::{internal, not_stored, store_failed};
use crate::queries::tasks;
use kugetsu_api::discard::discard;

/// How often ended tasks are looked at. They are kept for days.
const EVERY: Duration = Duration::from_secs(3600);

/// Takes a task out of the queue, or ends its run. Named by its identifier or by its issue.
///
/// # Errors
/// There is no such task, or it is over.
pub async fn cancel(engine: &Engine, name: &str, cwd: &Path) -> Result<RunView, Problem> {
    let view = tasks::task(engine, name, cwd).await?;
    if !matches!(view.task.state, TaskState::Queued | TaskState::Running) {
        return Err(over(&view));
    }
    let event = Event::CancelRequested { task: view.task.id };
    engine.apply(view.issue, event).await.map_err(|error| not_stored(&view.reference, error))?;
    again(engine, view.task.id).await
}

/// Queues an ended task once more.
///
/// # Errors
/// There is no such task, it is not over, or it is done.
pub async fn retry(engine: &Engine, name: &str, cwd: &Path) -> Result<RunView, Problem> {
    let view = tasks::task(engine, name, cwd).await?;
    match view.task.state {
        TaskState::Queued | TaskState::Running => {
            return Err(Problem::new(ProblemKind::Conflict, format!("the task for {} is not over", view.reference))
                .hint(format!("follow it: kugetsu logs -f {}", view.reference)));
        }
        TaskState::Done => {
            return Err(Problem::new(ProblemKind::Conflict, format!("the task for {} is done", view.reference))
                .hint(format!("to ask for more: kugetsu continue {} \"<message>\"", view.reference)));
        }
        TaskState::Blocked | TaskState::Failed | TaskState::Timeout | TaskState::Canceled => {}
    }
    let event = Event::TaskRetried { task: view.task.clone() };
    engine.apply(view.issue, event).await.map_err(|error| not_stored(&view.reference, error))?;
    again(engine, view.task.id).await
}

/// Removes ended tasks that are older than an age from the queue's history, apart from each issue's latest. How many.
///
/// # Errors
/// The database's words.
pub async fn clean(engine: &Engine, older_than: Duration) -> Result<u64, Problem> {
    let age = i64::try_from(older_than.as_secs()).unwrap_or(i64::MAX);
    let before = now().checked_sub(jiff::SignedDuration::from_secs(age)).unwrap_or(jiff::Timestamp::MIN);
    let removed = engine.store().clean(before).await.map_err(store_failed)?;
    // Those of the rows that are gone now, and those that an earlier time did not get to.
    forget_unknown_runs(engine).await.map_err(internal)?;
    Ok(removed.tasks)
}

/// Forgets ended tasks by age, for as long as the engine lives: at once, then every hour. The setting may change meanwhile.
pub(crate) async fn clean_by_age(engine: Engine) {
    loop {
        match clean(&engine, engine.settings().queue_keep).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "ended tasks older than queue.keep are forgotten"),
            Err(error) => tracing::warn!(%error, "ended tasks could not be forgotten; the next time is in an hour"),
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Removes the directories of runs that are not stored any more. Rows go before directories, so whatever cuts a removal
/// off leaves a directory that the next time finds here.
///
/// # Errors
/// The database's words. A directory that cannot be removed is reported in the log and tried again the next time.
async fn forget_unknown_runs(engine: &Engine) -> Result<(), StoreError> {
    let places = engine.home().runs();
    let listing = tokio::task::spawn_blocking(move || runs_with_a_directory(&places)).await;
    let runs = match listing.map_err(io::Error::from).flatten() {
        Ok(runs) => runs,
        Err(error) => {
            tracing::warn!(path = %engine.home().runs().display(), %error, "old runs' directories cannot be listed");
            return Ok(());
        }
    };
    for run in runs {
        // A run is stored before it gets its directory.
        if engine.store().has_run(run).await? {
            continue;
        }
        let directory = engine.home().run(run);
        if let Err(error) = discard(directory.path().to_owned()).await {
            tracing::warn!(path = %directory.path().display(), %error, "an old run's directory could not be removed");
        }
    }
    Ok(())
}

fn runs_with_a_directory(places: &Path) -> io::Result<Vec<RunId>> {
    let names = fs::read_dir(places)?.map(|entry| entry.map(|entry| entry.file_name()));
    let names = names.collect::<io::Result<Vec<_>>>()?;
    // What is called otherwise is not ours.
    Ok(names.iter().filter_map(|name| name.to_str()?.parse().ok()).collect())
}

fn over(view: &RunView) -> Problem {
    use kugetsu_domain::machine::Machine;
    Problem::new(
        ProblemKind::Conflict,
        format!("the task for {} is over: it is {}", view.reference, view.task.state.name()),
    )
    .hint(format!("to ask for more: kugetsu continue {} \"<message>\"", view.reference))
}

async fn again(engine: &Engine, task: TaskId) -> Result<RunView, Problem> {
    let view = engine.store().view(task).await.map_err(store_failed)?;
    view.ok_or_else(|| internal("the task is not stored any more"))
}
