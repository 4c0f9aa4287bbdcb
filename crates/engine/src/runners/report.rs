//! Takes runners' reports: the facts among the records are stored, the rest is only passed on to whoever follows.
//!
//! A report is addressed by the byte at which it begins in the run's records. What was stored before is not stored again,
//! so a runner that did not hear the answer simply sends once more.

use kugetsu_api::record::{Acknowledged, Body, Record};
use kugetsu_api::run::Usage as WireUsage;
use kugetsu_api::run_spec::RunnerControl;
use kugetsu_domain::flow::{Event, Refused};
use kugetsu_domain::ids::RunId;
use kugetsu_domain::issue::{Lease, Worktree};
use kugetsu_domain::run::{Outcome, Usage, Verdict};
use kugetsu_store::error::StoreError;
use tokio::sync::mpsc;

use crate::engine::{Engine, now};

/// Takes the lines of a report that begins at byte `offset` of the run's records. A last line without its end is left
/// for the next report.
///
/// # Errors
/// [`StoreError`] when a fact could not be stored; the runner sends it again.
pub async fn take(engine: &Engine, run: RunId, offset: u64, lines: &[u8]) -> Result<Acknowledged, StoreError> {
    let Some(lease) = lease_of(engine, run).await? else {
        return Ok(Acknowledged { offset: offset + lines.len() as u64, over: true });
    };
    let mut end = offset;
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        if line.last() != Some(&b'\n') {
            break;
        }
        end += line.len() as u64;
        let record: Record = match serde_json::from_slice(line) {
            Ok(record) => record,
            Err(error) => {
                tracing::error!(%run, %error, "a record of the run makes no sense; it is passed over");
                continue;
            }
        };
        let Some(event) = fact(lease, record.body) else { continue };
        match engine.store().apply_report(lease, event, end, now()).await {
            Ok(applied) => {
                engine.carry_out(&applied);
            }
            Err(StoreError::Refused(Refused::Stale { .. })) => {
                return Ok(Acknowledged { offset: offset + lines.len() as u64, over: true });
            }
            Err(StoreError::Refused(why)) => {
                tracing::warn!(%run, %why, "a fact of the run does not fit; it is passed over")
            }
            Err(error) => return Err(error),
        }
    }
    engine.runners().reported(run, end);
    Ok(Acknowledged { offset: end, over: false })
}

/// A runner has connected: what it is told at once, and where what comes later arrives. A run that is over is told so,
/// and nothing more.
///
/// # Errors
/// [`StoreError`].
pub async fn connect(
    engine: &Engine,
    run: RunId,
) -> Result<(Vec<RunnerControl>, Option<mpsc::Receiver<RunnerControl>>), StoreError> {
    // Listening comes first: what changes after the look below arrives there.
    let words = engine.runners().connect(run);
    let Some(lease) = lease_of(engine, run).await? else {
        engine.runners().forget(run);
        return Ok((vec![RunnerControl::Ready, RunnerControl::Superseded], None));
    };
    let issue = engine.store().issue_by_id(lease.issue).await?;
    let stop = issue.running_task().is_some_and(|task| task.cancel_requested);
    Ok((first_words(engine, stop), Some(words)))
}

/// What a runner is told when it connects: that the daemon is there, and what it may have missed.
fn first_words(engine: &Engine, stop: bool) -> Vec<RunnerControl> {
    let mut words = vec![RunnerControl::Ready, RunnerControl::Limits(engine.limits())];
    if stop {
        words.push(RunnerControl::Cancel);
    }
    words
}

/// The lease that the run holds, if it still does.
async fn lease_of(engine: &Engine, run: RunId) -> Result<Option<Lease>, StoreError> {
    match engine.store().issue_of_run(run).await? {
        Some(issue) => Ok(engine.store().issue_by_id(issue).await?.lease().filter(|lease| lease.run == run)),
        None => Ok(None),
    }
}

/// The event that a record stands for, if it is a fact.
fn fact(lease: Lease, body: Body) -> Option<Event> {
    match body {
        Body::Worktree { directory, branch, base_branch, base_sha } => {
            Some(Event::WorktreeReady { lease, worktree: Worktree { directory, branch, base_branch, base_sha } })
        }
        Body::Session { session, .. } => Some(Event::SessionOpened { lease, session }),
        Body::SessionLost { .. } => Some(Event::SessionLost { lease }),
        Body::Ended { state, reason, head_sha, commits, pushed, usage } => {
            let verdict = Verdict::from_name(&state).unwrap_or(Verdict::Failed);
            let outcome = Outcome { verdict, reason, head_sha, commits, pushed, usage: word(usage) };
            Some(Event::RunEnded { lease, outcome })
        }
        _ => None,
    }
}

const fn word(usage: WireUsage) -> Usage {
    Usage { cost_usd: usage.cost_usd, input_tokens: usage.input_tokens, output_tokens: usage.output_tokens }
}
