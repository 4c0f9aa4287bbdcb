//! The temporary directory of a run whose runner has not removed it. Repositories that the agent left in it are rescued first,
//! as the runner does (`runner/src/issue/finish.rs`); other files there are temporary.

use std::time::Duration;

use jiff::Timestamp;
use kugetsu_api::discard::discard_temporary;
use kugetsu_api::record::Body;
use kugetsu_domain::ids::RunId;
use kugetsu_domain::issue::Issue;
use kugetsu_domain::reason::Reason;
use kugetsu_domain::rescue_time;
use kugetsu_git::rescue::{SaveSpec, holds_repositories, save_temporary};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::epilogue;
use crate::engine::Engine;
use crate::repositories;

/// Time limit of a rescue.
const TIME_LIMIT: Duration = Duration::from_secs(10 * 60);

/// Removes the directory, once what it holds is rescued. The run's records say what was rescued.
///
/// # Errors
/// The directory is still there: it holds work that could not be rescued, or cannot be removed.
pub(crate) async fn remove(engine: &Engine, issue: &Issue, run: RunId, at: Timestamp) -> Result<(), Reason> {
    let home = engine.home().run(run);
    let directory = home.temporary();
    let kept = |why: Reason| {
        let hint = why.hint.clone();
        let text = format!("the run's temporary directory {} is kept: {}", directory.display(), why.text);
        let hint = hint.unwrap_or_else(|| format!("move your work out of {}, then remove it", directory.display()));
        Reason::from(text).hint(hint)
    };
    // The coordinator works in no repository that could keep a rescue.
    if !issue.reference.is_coordinator()
        && holds_repositories(&directory).await.map_err(|error| kept(error.to_string().into()))?
    {
        let saved = {
            let (engine, issue, directory) = (engine.clone(), issue.clone(), directory.clone());
            // On a thread for blocking work: reading files that an agent left may block.
            let handle = Handle::current();
            let saving = async move { rescue(&engine, &issue, &directory, at).await };
            tokio::task::spawn_blocking(move || handle.block_on(timeout(TIME_LIMIT, saving))).await
        };
        let saved = match saved {
            Ok(Ok(saved)) => saved,
            Ok(Err(_)) => Err(format!("its rescue took longer than {} minutes", TIME_LIMIT.as_secs() / 60).into()),
            Err(error) => Err(error.to_string().into()),
        };
        match saved {
            Ok(None) => {}
            Ok(Some(text)) => epilogue::append(engine, run, Body::Notice { text }).await,
            Err(why) => {
                let why = kept(why);
                epilogue::append(engine, run, Body::Notice { text: why.in_one_line() }).await;
                return Err(why);
            }
        }
    }
    discard_temporary(&home).await.map_err(|error| kept(format!("could not remove it: {error}").into()))
}

/// Returns a sentence about the rescue; none if there was no work.
async fn rescue(
    engine: &Engine,
    issue: &Issue,
    directory: &std::path::Path,
    at: Timestamp,
) -> Result<Option<String>, Reason> {
    let described = |error: &repositories::RepositoryError| Reason::new(error, error.hint());
    let mirror = repositories::mirror(engine, issue).await.map_err(|error| described(&error))?;
    let worktree = repositories::worktree(engine, issue, &mirror).await.map_err(|error| described(&error))?;
    let Some(worktree) = worktree else {
        return Err("the issue has no worktree with which it could be rescued".into());
    };
    let spec = SaveSpec {
        issue_number: issue.reference.number,
        reason: "the run's temporary directory was removed".to_owned(),
        at: rescue_time::format(at),
        max_file: engine.settings().rescue.max_file_bytes(),
    };
    let saved = save_temporary(&mirror, &worktree, directory, spec).await;
    match saved.map_err(|error| Reason::new(&error, error.hint()))? {
        Some(saved) if !saved.unsaved.is_empty() => {
            Err(format!("this could not be rescued: {}", saved.unsaved.join(", ")).into())
        }
        Some(saved) => Ok(Some(format!("rescued what the agent left in its temporary directory as {}", saved.name))),
        None => Ok(None),
    }
}
