//! Notices, when the daemon starts, that the home was moved, renamed or copied since its last daemon, and repairs it. The markers
//! of processes belong to one home, so that a copy does not touch the processes of its original.

use std::io;

use kugetsu_api::home::Home;
use kugetsu_api::home_id;
use kugetsu_api::location::{Location, earlier_path};
use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::RunId;
use kugetsu_process::{InvalidMarker, MARKER, Marker, leftover_processes};
use kugetsu_store::error::StoreError;
use kugetsu_store::query::{ViewFilter, ViewQuery};
use thiserror::Error;
use uuid::Uuid;

use crate::engine::Engine;
use crate::repositories;

/// Issues that are read at once.
const PAGE: u32 = 200;

#[derive(Debug, Error)]
pub enum MovedHomeError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("could not record the location of kugetsu's home {}: {error}", home.path().display())]
    Location { home: Home, error: io::Error },
}

/// Compares the location of the home with that of its last daemon. In a copy, it cancels what the original is doing; in a home
/// with another path, it corrects the paths in worktrees and relays. Called before anything else uses the home.
///
/// # Errors
/// The database cannot be read or written, or the new location cannot be recorded. A worktree that cannot be repaired is logged;
/// its next use tries again.
pub async fn settle(engine: &Engine) -> Result<(), MovedHomeError> {
    let home = engine.home();
    let failed = |error| MovedHomeError::Location { home: home.clone(), error };
    let location = Location::of(home).map_err(failed)?;
    let recorded = Location::recorded(home);
    if recorded.as_ref() == Some(&location) {
        return Ok(());
    }
    if let Some(original) = recorded.filter(|recorded| !recorded.is_same_directory(&location))
        && original_is_alive(&original).await
    {
        let path = original.path.display().to_string();
        tracing::warn!(original = path, "this home is a copy; canceling the tasks that its original is working on");
        cancel_tasks(engine).await?;
        let id = Uuid::now_v7();
        engine.store().set_home(id.to_string()).await?;
        home_id::write(home, id).map_err(failed)?;
    } else if let Some(from) = earlier_path(home) {
        tracing::warn!(from = %from.display(), to = %home.path().display(), "the home was moved; correcting its paths");
    }
    repair_worktrees(engine).await?;
    location.record(home).map_err(failed)
}

async fn cancel_tasks(engine: &Engine) -> Result<(), StoreError> {
    let (mut open, mut cursor) = (Vec::new(), None);
    loop {
        let page = engine.store().views(ViewQuery::new(ViewFilter::Live).limit(PAGE).cursor(cursor)).await?;
        open.extend(page.views.into_iter().filter(|view| !view.task.cancel_requested));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    for view in open {
        engine.apply(view.issue, Event::CancelRequested { task: view.task.id }).await?;
    }
    Ok(())
}

async fn repair_worktrees(engine: &Engine) -> Result<(), StoreError> {
    let mut cursor = None;
    loop {
        let query = ViewQuery::new(ViewFilter::all_issues()).limit(PAGE).cursor(cursor);
        let page = engine.store().views(query).await?;
        for view in page.views {
            let issue = engine.store().issue_by_id(view.issue).await?;
            if issue.worktree.is_none() {
                continue;
            }
            let opened = async {
                let mirror = repositories::mirror(engine, &issue).await?;
                repositories::worktree(engine, &issue, &mirror).await
            };
            if let Err(error) = opened.await {
                tracing::error!(issue = %issue.reference, %error, "the paths of a worktree could not be corrected");
            }
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(());
        }
    }
}

/// Why a run's marker is not known.
#[derive(Debug, Error)]
pub enum MarkerError {
    #[error("could not read kugetsu's home: {0}")]
    Home(#[from] io::Error),
    #[error(transparent)]
    Invalid(#[from] InvalidMarker),
}

/// The marker of the processes of a run, or of other work that has a name.
///
/// # Errors
/// The home cannot be read, or the name cannot be part of a marker.
pub fn marker(home: &Home, name: &str) -> Result<Marker, MarkerError> {
    Ok(Marker::new(format!("{name}{}", Location::of(home)?.suffix()))?)
}

/// The run of a marker's value, if it is one of this home's.
pub fn run_of(home: &Home, value: &str) -> Option<RunId> {
    value.strip_suffix(&Location::of(home).ok()?.suffix())?.parse().ok()
}

/// Whether the original of a copied home still exists: at its path, or elsewhere with processes of its runs.
async fn original_is_alive(original: &Location) -> bool {
    if original.is_there() {
        return true;
    }
    let suffix = original.suffix();
    // If processes cannot be listed, the original may be alive: a canceled task is easily queued again.
    leftover_processes(MARKER)
        .await
        .map_or(true, |marked| marked.iter().any(|(_, value)| value.to_string_lossy().ends_with(&suffix)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marker_of_a_run_belongs_to_one_home() {
        let directory = tempfile::tempdir().unwrap();
        let [own, copy] = ["own", "copy"].map(|name| Home::new(directory.path().join(name)));
        for home in [&own, &copy] {
            std::fs::create_dir(home.path()).unwrap();
        }
        let run = RunId::new(uuid::Uuid::now_v7());
        let marker = marker(&own, &run.to_string()).unwrap();
        assert_eq!(run_of(&own, marker.id()), Some(run));
        assert_eq!(run_of(&copy, marker.id()), None);
        assert_eq!(run_of(&own, &run.to_string()), None);
    }
}
