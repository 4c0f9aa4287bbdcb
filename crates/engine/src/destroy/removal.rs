//! The removal of an issue's files and session.
//!
//! Rescue comes first, then the agent's session, then the files: if a step fails, everything that comes after it is still
//! there. A removal that was cut off is done again, and finds its earlier steps done.

use std::io::{self, ErrorKind};
use std::path::Path;

use jiff::Timestamp;
use kugetsu_api::discard::discard;
use kugetsu_domain::issue::Issue;
use kugetsu_domain::reason::Reason;
use kugetsu_domain::rescue_time;
use kugetsu_git::mirror::Mirror;
use kugetsu_git::rescue::{self, SaveSpec};
use kugetsu_git::worktree::Worktree;
use kugetsu_git::worktree::lock::{ATTACHED, hold};
use kugetsu_store::query::RunQuery;

use super::session::delete_session;
use crate::engine::Engine;
use crate::repositories;
use crate::runners::temporary;

/// The reason of rescues that a removal saves.
const REASON: &str = "the issue was destroyed";

/// The result of a removal.
#[derive(Debug, Default)]
pub(crate) struct Removed {
    /// The rescue that holds what was not pushed, if there was anything.
    pub(crate) rescue: Option<String>,
    /// Messages for the user about leftovers.
    pub(crate) notes: Vec<String>,
}

/// Removes an issue's files and session. `requested_at` is the time of the request, also if this is not the first attempt.
///
/// # Errors
/// A message for the user. What was not rescued is still there.
pub(crate) async fn remove(engine: &Engine, issue: &Issue, requested_at: Timestamp) -> Result<Removed, Reason> {
    let mut removed = Removed::default();
    if issue.reference.is_coordinator() {
        // Its sessions are part of its agent's state. Its notes stay.
        let state = engine.home().coordinator_agent();
        discard(state.clone())
            .await
            .map_err(|error| Reason::from(format!("cannot remove {}: {error}", state.display())))?;
        return Ok(removed);
    }
    let Some(files) = &issue.worktree else {
        delete_session(engine, issue, &mut removed.notes).await;
        return Ok(removed);
    };
    let (directory, relay) = engine.home().files(&files.directory);
    // Until the end of the removal. Only a directory that is gone has no user for sure.
    let _held = match hold(&directory) {
        Ok(Some(held)) => Some(held),
        Ok(None) => return Err(ATTACHED.into()),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(not_locked(&directory, &error)),
    };
    remove_temporary_files(engine, issue, requested_at).await?;
    if is_gone(&directory)? && is_gone(&relay)? {
        // Nothing is left that could be lost, so a repository that is gone keeps nothing from being removed.
        if let Ok(mirror) = repositories::mirror(engine, issue).await {
            removed.rescue = earlier_rescue(&mirror, issue, requested_at).await?;
        }
        delete_session(engine, issue, &mut removed.notes).await;
        return Ok(removed);
    }
    let mirror = repositories::mirror(engine, issue).await.map_err(|error| Reason::new(&error, error.hint()))?;
    let worktree =
        repositories::worktree(engine, issue, &mirror).await.map_err(|error| Reason::new(&error, error.hint()))?;
    if let Some(worktree) = &worktree {
        removed.rescue = save(engine, &mirror, worktree, issue, requested_at).await?;
        if removed.rescue.is_none() {
            // An earlier attempt has saved everything, and then removed files.
            removed.rescue = earlier_rescue(&mirror, issue, requested_at).await?;
        }
    }
    delete_session(engine, issue, &mut removed.notes).await;
    let gone = match &worktree {
        Some(worktree) => worktree.remove().await,
        None => Worktree::remove_leftovers(&directory, &relay).await,
    };
    gone.map_err(|error| Reason::new(&error, error.hint()))?;
    Ok(removed)
}

/// Removes the temporary directories of runs that are still there, because something in them could not be rescued: the files of
/// linked worktrees need the worktree.
async fn remove_temporary_files(engine: &Engine, issue: &Issue, requested_at: Timestamp) -> Result<(), Reason> {
    let runs = engine.store().runs(RunQuery::new(issue.id)).await.map_err(|error| {
        let hint = error.hint().map(str::to_owned);
        Reason::new(&error, hint)
    })?;
    for run in runs {
        if engine.home().run(run.id).temporary_here().symlink_metadata().is_ok() {
            temporary::remove(engine, issue, run.id, requested_at).await?;
        }
    }
    Ok(())
}

/// The worktree may be in use.
fn not_locked(directory: &Path, error: &io::Error) -> Reason {
    let reason = Reason::from(format!("could not lock {}: {error}", directory.display()));
    match error.kind() {
        ErrorKind::PermissionDenied => reason.hint("make it readable, then try again"),
        _ => reason,
    }
}

/// Whether nothing is at a path. A path that cannot be looked at is not gone.
fn is_gone(path: &Path) -> Result<bool, Reason> {
    match path.symlink_metadata() {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Err(error) => Err(format!("cannot look at {}: {error}", path.display()).into()),
    }
}

/// Returns the rescue that holds the work: a new one, or an earlier one, such as that of a run that failed.
async fn save(
    engine: &Engine,
    mirror: &Mirror,
    worktree: &Worktree,
    issue: &Issue,
    requested_at: Timestamp,
) -> Result<Option<String>, Reason> {
    let spec = SaveSpec {
        issue_number: issue.reference.number,
        reason: REASON.to_owned(),
        at: rescue_time::format(requested_at),
        max_file: engine.settings().rescue.max_file_bytes(),
    };
    let saved = rescue::save_or_find(mirror, worktree, spec).await;
    let Some(saved) = saved.map_err(|error| Reason::new(&error, error.hint()))? else { return Ok(None) };
    if saved.unsaved.is_empty() {
        return Ok(Some(saved.name));
    }
    Err(format!("this cannot be rescued: {}", saved.unsaved.join(", ")).into())
}

/// Returns the rescue that an earlier attempt saved, so that the user learns where the files are even if the daemon died
/// meanwhile.
async fn earlier_rescue(mirror: &Mirror, issue: &Issue, requested_at: Timestamp) -> Result<Option<String>, Reason> {
    let rescues = rescue::list(mirror, Some(issue.reference.number)).await;
    let rescues = rescues.map_err(|error| Reason::new(&error, error.hint()))?;
    let since = rescue_time::format(requested_at);
    // One of a run can have been saved in the same second.
    let of_removal = rescues.into_iter().filter(|rescue| rescue.at >= since && rescue.reason == REASON);
    Ok(of_removal.max_by(|a, b| a.at.cmp(&b.at)).map(|rescue| rescue.name))
}
