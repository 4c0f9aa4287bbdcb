//! The removal of an issue's files and session.
//!
//! Rescue comes first, then the agent's session, then the files: if a step fails, everything that comes after it is still
//! there. A removal that was cut off is done again, and finds its earlier steps done.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use kugetsu_agent::SessionId;
use kugetsu_agent::environment::environment;
use kugetsu_api::discard::discard;
use kugetsu_domain::git_variables::{ceilings, not_inherited};
use kugetsu_domain::issue::Issue;
use kugetsu_domain::rescue_time;
use kugetsu_domain::session::SessionState;
use kugetsu_domain::text::with_hint;
use kugetsu_git::mirror::Mirror;
use kugetsu_git::rescue::{self, SaveSpec};
use kugetsu_git::worktree::Worktree;
use kugetsu_git::worktree::lock::{ATTACHED, hold};
use kugetsu_process::{OneShot, run};

use crate::engine::Engine;
use crate::{agents, repositories};

/// Time limit of the agent's command that deletes a session.
const DELETE_LIMIT: Duration = Duration::from_secs(60);
/// Longest message of that command that is quoted, in characters.
const COMPLAINT_MAX: usize = 300;

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
pub(crate) async fn remove(engine: &Engine, issue: &Issue, requested_at: Timestamp) -> Result<Removed, String> {
    let mut removed = Removed::default();
    if issue.reference.is_coordinator() {
        // Its sessions are part of its agent's state. Its notes stay.
        let state = engine.home().coordinator_agent();
        discard(state.clone()).await.map_err(|error| format!("cannot remove {}: {error}", state.display()))?;
        return Ok(removed);
    }
    let Some(files) = &issue.worktree else {
        delete_session(engine, issue, engine.home().path(), &mut removed.notes).await;
        return Ok(removed);
    };
    let (directory, relay) = engine.home().files(&files.directory);
    // Until the end of the removal. A directory that is gone or cannot be opened has no user.
    let _held = match hold(&directory) {
        Ok(None) => return Err(ATTACHED.to_owned()),
        held => held.ok().flatten(),
    };
    if !directory.exists() && !relay.exists() {
        if let Ok(mirror) = repositories::mirror(engine, issue).await {
            removed.rescue = earlier_rescue(&mirror, issue, requested_at).await;
        }
        delete_session(engine, issue, engine.home().path(), &mut removed.notes).await;
        return Ok(removed);
    }
    let mirror = repositories::mirror(engine, issue).await.map_err(|error| with_hint(&error, error.hint()))?;
    let worktree =
        repositories::worktree(engine, issue, &mirror).await.map_err(|error| with_hint(&error, error.hint()))?;
    if let Some(worktree) = &worktree {
        removed.rescue = save(&mirror, worktree, issue, requested_at).await?;
        if removed.rescue.is_none() {
            // An earlier attempt has saved everything.
            removed.rescue = earlier_rescue(&mirror, issue, requested_at).await;
        }
    }
    delete_session(engine, issue, &directory, &mut removed.notes).await;
    let gone = match &worktree {
        Some(worktree) => worktree.remove().await,
        None => Worktree::remove_leftovers(&directory, &relay).await,
    };
    gone.map_err(|error| with_hint(&error, error.hint()))?;
    Ok(removed)
}

async fn save(
    mirror: &Mirror,
    worktree: &Worktree,
    issue: &Issue,
    requested_at: Timestamp,
) -> Result<Option<String>, String> {
    let spec = SaveSpec {
        issue_number: issue.reference.number,
        reason: "the issue was destroyed".to_owned(),
        at: rescue_time::format(requested_at),
    };
    let Some(saved) = rescue::save(mirror, worktree, spec).await.map_err(|error| with_hint(&error, error.hint()))?
    else {
        return Ok(None);
    };
    if saved.unsaved.is_empty() {
        return Ok(Some(saved.name));
    }
    Err(format!("this cannot be rescued: {}", saved.unsaved.join(", ")))
}

/// Returns the rescue that an earlier attempt saved, so that the user learns where the files are even if the daemon died
/// meanwhile.
async fn earlier_rescue(mirror: &Mirror, issue: &Issue, requested_at: Timestamp) -> Option<String> {
    let rescues = rescue::list(mirror, Some(issue.reference.number)).await.ok()?;
    let since = rescue_time::format(requested_at);
    rescues.into_iter().filter(|rescue| rescue.at >= since).max_by(|a, b| a.at.cmp(&b.at)).map(|rescue| rescue.name)
}

/// Asks the agent to delete the session. If it cannot, the files are removed all the same, and a note says what to type.
async fn delete_session(engine: &Engine, issue: &Issue, directory: &Path, notes: &mut Vec<String>) {
    let Some(session) = issue.session.as_ref().filter(|session| session.state == SessionState::Open) else { return };
    let settings = engine.settings();
    let kept = |why: &str| format!("the agent's session {} was not deleted: {why}", session.id);
    let (profile, program) = match agents::check(&settings, &session.agent) {
        Ok(found) => found,
        Err(problem) => return notes.push(kept(&problem.message)),
    };
    let Some(launch) = SessionId::new(&session.id).ok().and_then(|id| profile.delete_session(&id)) else {
        return notes.push(kept(&format!("{} has no command for it", session.agent)));
    };
    let ceilings = ceilings(directory.parent().map(Path::to_owned), std::env::var_os("HOME"));
    let mut env = environment(std::env::vars_os(), &settings.variables, &std::env::temp_dir(), &ceilings);
    if let Err(error) = launch.extend_env(&mut env) {
        return notes.push(kept(&with_hint(&error, error.hint())));
    }
    let mut command = OneShot::new(&program).args(&launch.args).cwd(directory);
    command.time_limit = Some(DELETE_LIMIT);
    for name in not_inherited(std::env::vars_os()) {
        command = command.without_env(name);
    }
    for (name, value) in env {
        command = command.env(name, value);
    }
    let why = match run(command).await {
        Ok(ended) if ended.status.success() => return,
        Ok(ended) => String::from_utf8_lossy(&ended.stderr).trim().chars().take(COMPLAINT_MAX).collect(),
        Err(error) => with_hint(&error, error.hint()),
    };
    let args: Vec<_> = launch.args.iter().map(|arg| arg.to_string_lossy()).collect();
    notes.push(kept(&format!("{why}; to delete it: {} {}", program.display(), args.join(" "))));
}
