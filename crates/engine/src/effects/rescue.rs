//! Rescues what a lost run left in its worktree.
//!
//! A task that is tried again needs no such effect: its next run rescues before it begins (`runner/src/issue/files.rs`), and
//! so does a removal.

use std::fmt::Display;
use std::time::Duration;

use jiff::Timestamp;
use kugetsu_api::record::Body;
use kugetsu_domain::ids::{IssueId, RunId};
use kugetsu_domain::issue::{Issue, IssueState};
use kugetsu_domain::reason::Reason;
use kugetsu_domain::rescue_time;
use kugetsu_domain::text::counted;
use kugetsu_git::rescue::{self, SaveSpec};
use kugetsu_store::error::StoreError;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::outcome::Outcome;
use crate::engine::Engine;
use crate::repositories;
use crate::runners::epilogue;

/// Failed executions after which it is given up. The files stay where they are.
const ATTEMPTS_MAX: u32 = 10;
/// Time limit of one execution.
const TIME_LIMIT: Duration = Duration::from_secs(30 * 60);

pub(crate) async fn execute(
    engine: &Engine,
    issue: IssueId,
    run: RunId,
    failures: u32,
    created_at: Timestamp,
) -> Outcome {
    let issue = match engine.store().issue_by_id(issue).await {
        Ok(issue) => issue,
        Err(error @ StoreError::Damaged { .. }) => return given_up_at_last(engine, run, failures, error).await,
        Err(error) => return error.into(),
    };
    if issue.live_run().is_some() || issue.state != IssueState::Open {
        return Outcome::done();
    }
    let saved = {
        let (engine, issue) = (engine.clone(), issue.clone());
        // On a thread for blocking work: reading files that an agent left may block.
        let handle = Handle::current();
        let saving = move || handle.block_on(timeout(TIME_LIMIT, save(&engine, &issue, created_at)));
        tokio::task::spawn_blocking(saving).await
    };
    let failure = match saved {
        Ok(Ok(Ok(None))) => return Outcome::done(),
        Ok(Ok(Ok(Some(text)))) => {
            epilogue::append(engine, run, Body::Notice { text }).await;
            return Outcome::done();
        }
        Ok(Ok(Err(why))) => why,
        Ok(Err(_)) => format!("it took longer than {} minutes", TIME_LIMIT.as_secs() / 60),
        Err(error) => error.to_string(),
    };
    given_up_at_last(engine, run, failures, failure).await
}

/// The outcome of a failed execution. The run's records say when it was the last one.
async fn given_up_at_last(engine: &Engine, run: RunId, failures: u32, error: impl Display) -> Outcome {
    let outcome = Outcome::retry_up_to(ATTEMPTS_MAX, failures, error);
    if let Outcome::GivenUp { error } = &outcome {
        let text = format!("what the run left could not be rescued, and is still in its worktree: {error}");
        epilogue::append(engine, run, Body::Notice { text }).await;
    }
    outcome
}

/// Returns a sentence about the rescue; none if there was nothing to rescue.
async fn save(engine: &Engine, issue: &Issue, at: Timestamp) -> Result<Option<String>, String> {
    let Some(files) = &issue.worktree else { return Ok(None) };
    let directory = engine.home().files(&files.directory).0;
    match directory.try_exists() {
        Ok(true) => {}
        Ok(false) => return Ok(None),
        Err(error) => return Err(format!("cannot look at {}: {error}", directory.display())),
    }
    let mirror =
        repositories::mirror(engine, issue).await.map_err(|error| Reason::new(&error, error.hint()).in_one_line())?;
    let worktree = repositories::worktree(engine, issue, &mirror).await;
    let Some(worktree) = worktree.map_err(|error| Reason::new(&error, error.hint()).in_one_line())? else {
        return Ok(None);
    };
    let spec = SaveSpec {
        issue_number: issue.reference.number,
        reason: "the run was lost".to_owned(),
        at: rescue_time::format(at),
        max_file: engine.settings().rescue.max_file_bytes(),
    };
    let saved = rescue::save(&mirror, &worktree, spec)
        .await
        .map_err(|error| Reason::new(&error, error.hint()).in_one_line())?;
    Ok(saved.map(|saved| {
        let files = counted(saved.files as u64, "file");
        let unsaved = match saved.unsaved.as_slice() {
            [] => String::new(),
            unsaved => format!("; not rescued: {}", unsaved.join(", ")),
        };
        format!("rescued the worktree as {} ({files}){unsaved}", saved.name)
    }))
}
