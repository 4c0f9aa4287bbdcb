//! Removes one item, after it has looked again whether it is in use.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use kugetsu_api::discard::discard;
use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_domain::ids::RunId;
use kugetsu_git::mirror::Mirror;
use kugetsu_git::rescue;
use kugetsu_store::query::IssueFilter;
use kugetsu_store::view::Repo;

use super::inventory::{Item, Target, is_quarantine_used};
use super::{history, unused_mirror};
use crate::engine::Engine;
use crate::problems::{internal, problem, store_failed};
use crate::queries::repos::stored;
use crate::repositories;

/// The result of a removal.
pub(super) struct Freed {
    pub(super) count: u64,
    pub(super) bytes: u64,
}

/// Removes the directories of these runs, and the tasks and events that are older than `history`.
pub(super) async fn remove_runs(
    engine: &Engine,
    runs: Vec<RunId>,
    history: Option<Duration>,
) -> Result<Freed, Problem> {
    engine.store().expire_runs(runs).await.map_err(store_failed)?;
    let before = history.map_or(Timestamp::MIN, |age| history::before(engine.now(), age));
    let removed = history::clean_before(engine, before).await?;
    Ok(Freed { count: removed.runs, bytes: removed.bytes })
}

/// Removes an item that is not a run.
///
/// # Errors
/// It cannot be removed, or it is in use by now.
pub(super) async fn remove(engine: &Engine, item: &Item) -> Result<Freed, Problem> {
    match &item.target {
        Target::Run(_) => return Ok(Freed { count: 0, bytes: 0 }),
        Target::Mirror(repo) => remove_mirror(engine, repo).await?,
        Target::Rescue { repo, reference } => {
            let mirror = open(engine, repo).await?;
            let removed = rescue::remove(&mirror, reference).await;
            removed.map_err(|error| problem(ProblemKind::Failed, &error, error.hint()))?;
        }
        Target::Path(path) => remove_set_aside(engine, path).await?,
    }
    Ok(Freed { count: 1, bytes: item.bytes })
}

async fn remove_mirror(engine: &Engine, repo: &Repo) -> Result<(), Problem> {
    unused_mirror::check_source(engine, repo).await?;
    // No repository is moved meanwhile.
    let _naming = engine.naming().lock().await;
    let mirror = open(engine, repo).await?;
    if let Some(in_use) = unused_mirror::use_of(engine, repo).await? {
        return Err(needed(&in_use));
    }
    // A task that was queued in between is seen when no runner can open the mirror any more; one that is queued later clones
    // it again.
    let is_unused = async { matches!(open_issues(engine, repo).await, Ok(0)) };
    match mirror.remove_if(is_unused).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(needed("another process has just used it")),
        Err(error) => Err(problem(ProblemKind::Failed, &error, error.hint())),
    }
}

fn needed(why: &str) -> Problem {
    Problem::new(ProblemKind::Conflict, format!("it is needed: {why}"))
}

async fn open_issues(engine: &Engine, repo: &Repo) -> Result<usize, Problem> {
    let open = engine.store().issues(IssueFilter::OpenIn(repo.name.clone()), 0).await.map_err(store_failed)?;
    Ok(open.total)
}

async fn open(engine: &Engine, repo: &Repo) -> Result<Mirror, Problem> {
    let mirror = repositories::mirror_if_there(engine, repo).await;
    let mirror = mirror.map_err(|error| problem(ProblemKind::Failed, &error, error.hint()))?;
    mirror.ok_or_else(|| internal("it is gone already"))
}

async fn remove_set_aside(engine: &Engine, path: &Path) -> Result<(), Problem> {
    let (home, path) = (engine.home().clone(), path.to_owned());
    let (looked_at, directory) = (home.clone(), path.clone());
    let in_use = tokio::task::spawn_blocking(move || is_quarantine_used(&looked_at, &directory)).await;
    if in_use.map_err(internal)? {
        return Err(needed("a process uses it"));
    }
    let failed = |error: io::Error| internal(error.to_string());
    if path.is_dir() {
        return discard(path).await.map_err(failed);
    }
    // A database, whose log goes with it.
    for suffix in ["-wal", "-shm", ""] {
        let mut name = path.clone().into_os_string();
        name.push(suffix);
        match tokio::fs::remove_file(PathBuf::from(name)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    Ok(())
}

/// Combines the packs of mirrors that no run is using, and logs each.
pub(super) async fn combine_packs(engine: &Engine) -> Result<(), Problem> {
    let running = engine.store().issues(IssueFilter::Running, usize::MAX).await.map_err(store_failed)?.issues;
    for repo in stored(engine).await? {
        // A run must not wait for it.
        if running.iter().any(|issue| issue.reference.repo == repo.name) {
            continue;
        }
        let mirror = match repositories::mirror_if_there(engine, &repo).await {
            Ok(Some(mirror)) => mirror,
            Ok(None) => continue,
            Err(error) => {
                tracing::warn!(repo = %repo.name, %error, "the mirror cannot be opened");
                continue;
            }
        };
        match mirror.combine_packs().await {
            Ok(None) => {}
            Ok(Some((from, to))) => tracing::info!(repo = %repo.name, from, to, "packs of the mirror are combined"),
            Err(error) => tracing::warn!(repo = %repo.name, %error, "packs of the mirror could not be combined"),
        }
    }
    Ok(())
}
