//! Takes the reports of runners: facts are stored as events, and followers learn how long the records are.
//!
//! A fact is addressed by the byte at which its record ends. What was stored before is not stored again, so a runner that
//! hears no answer simply reports once more.

use jiff::Timestamp;
use kugetsu_api::record::{Acknowledged, Body, LOST, Record, ReportedFact};
use kugetsu_api::run::Usage as WireUsage;
use kugetsu_api::run_spec::RunnerControl;
use kugetsu_domain::flow::{Event, Loss, Refused};
use kugetsu_domain::ids::RunId;
use kugetsu_domain::issue::{Lease, Worktree};
use kugetsu_domain::model_limit::{Account, wait};
use kugetsu_domain::reason::Reason;
use kugetsu_domain::run::{Outcome, Usage, Verdict};
use kugetsu_store::error::StoreError;
use tokio::sync::mpsc;

use super::access::RunnerAccess;
use crate::budgets;
use crate::engine::Engine;

/// Largest number of tokens or commits of a run that is believed: 10,000 such runs can be added up in 64 bits.
const NUMBER_MAX: u64 = 100_000_000_000_000;
/// Largest cost of a run that is believed, in US dollars.
const COST_MAX: f64 = 1_000_000.0;

/// Stores the facts that a runner reports; `length` is that of its records.
///
/// # Errors
/// [`StoreError`] when a fact could not be stored; the runner reports it again.
pub async fn take_report(
    engine: &Engine,
    access: &RunnerAccess,
    facts: Vec<ReportedFact>,
    length: u64,
) -> Result<Acknowledged, StoreError> {
    store_facts(engine, access.run(), facts, length).await
}

/// Stores facts of a run that are known to be its runner's.
pub(super) async fn store_facts(
    engine: &Engine,
    run: RunId,
    facts: Vec<ReportedFact>,
    length: u64,
) -> Result<Acknowledged, StoreError> {
    let over = Acknowledged { offset: length, over: true };
    let Some(lease) = lease_of(engine, run).await? else { return Ok(over) };
    for ReportedFact { end, fact } in facts {
        let Some(event) = event(lease, fact) else { continue };
        let event = with_end_of_limit(engine, event).await?;
        let (is_progress, used) = match &event {
            Event::Progressed { used, .. } => (true, *used),
            _ => (false, Usage::default()),
        };
        match engine.store().apply_report(lease, event, end, engine.now()).await {
            // Paused tasks of the account need not wait any longer.
            Ok(_) if is_progress => {
                engine.holds_changed();
                budgets::end_if_spent(engine, lease, used).await?;
            }
            Ok(_) => {}
            Err(StoreError::Refused(Refused::Stale { .. })) => return Ok(over),
            Err(StoreError::Refused(why)) => tracing::warn!(%run, %why, "skipped a fact of a run: it does not fit"),
            Err(StoreError::Unstorable(why)) => {
                end_with_error(engine, lease, end, &why).await?;
                return Ok(over);
            }
            Err(error) => return Err(error),
        }
    }
    engine.runners().transcript_grew(run, length);
    Ok(Acknowledged { offset: length, over: false })
}

/// Adds to a pause until when it lasts, if the provider did not name a time: each one in a row lasts longer.
async fn with_end_of_limit(engine: &Engine, event: Event) -> Result<Event, StoreError> {
    let (lease, outcome) = match event {
        Event::RunEnded { lease, outcome } if outcome.verdict == Verdict::Paused => (lease, outcome),
        event => return Ok(event),
    };
    let issue = engine.store().issue_by_id(lease.issue).await?;
    let Some(run) = issue.live_run() else { return Ok(Event::RunEnded { lease, outcome }) };
    let account = Account { agent: run.agent.clone(), provider: run.provider.clone() };
    let limits = engine.store().model_limits().await?;
    // A run that the model answered ends a row.
    let before = limits.iter().find(|limit| limit.account == account && !run.answered);
    let until = engine.now().saturating_add(wait(before, run.started_at)).unwrap_or(Timestamp::MAX);
    Ok(Event::RunPaused { lease, outcome, until })
}

/// Ends a run whose report the database refuses for good: otherwise the runner would report the same for ever, and the run
/// would keep its slot. The refused fact stays in the run's records.
async fn end_with_error(engine: &Engine, lease: Lease, end: u64, why: &str) -> Result<(), StoreError> {
    tracing::error!(run = %lease.run, why, "the database refuses a fact of a run; the run is ended");
    let reason = format!(
        "its report cannot be stored ({why}), so the run was ended; the work is kept in its worktree, the report in {}",
        engine.home().run(lease.run).records().display()
    )
    .into();
    let outcome = Outcome {
        verdict: Verdict::Failed,
        reason,
        head_sha: None,
        commits: 0,
        pushed: false,
        usage: Usage::default(),
    };
    let ended = Event::RunEnded { lease, outcome };
    match engine.store().apply_report(lease, ended, end, engine.now()).await {
        Ok(_) | Err(StoreError::Refused(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Stores the facts among the lines that a runner of version 0.1 reports. They begin at byte `offset` of the run's
/// records. A last line without an end is left out of the acknowledged bytes.
///
/// # Errors
/// As [`take_report`].
pub async fn take_records(
    engine: &Engine,
    access: &RunnerAccess,
    offset: u64,
    lines: &[u8],
) -> Result<Acknowledged, StoreError> {
    let (facts, end) = unsealed_facts(access.run(), offset, lines);
    store_facts(engine, access.run(), facts, end).await
}

/// Returns the facts among lines that anything may have written, and the byte after the last whole line.
pub(super) fn unsealed_facts(run: RunId, offset: u64, lines: &[u8]) -> (Vec<ReportedFact>, u64) {
    let (mut facts, mut end) = (Vec::new(), offset);
    for line in lines.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")) {
        end += line.len() as u64;
        match serde_json::from_slice::<Record>(line) {
            Ok(record) if record.body.is_fact() => facts.push(ReportedFact { end, fact: record.body }),
            Ok(_) => {}
            Err(error) => tracing::error!(%run, %error, "skipped a record of a run: it cannot be read"),
        }
    }
    (facts, end)
}

/// Connects a runner: returns the messages that it gets at once and a channel with those that come later. The runner of a
/// run that is over gets no channel.
///
/// # Errors
/// [`StoreError`].
pub async fn connect(
    engine: &Engine,
    access: &RunnerAccess,
) -> Result<(Vec<RunnerControl>, Option<mpsc::Receiver<RunnerControl>>), StoreError> {
    let run = access.run();
    // Before the state is read: a change after that arrives in the channel.
    let messages = engine.runners().connect(run);
    let Some(lease) = lease_of(engine, run).await? else {
        engine.runners().remove(run);
        return Ok((vec![RunnerControl::Ready, RunnerControl::Superseded], None));
    };
    let issue = engine.store().issue_by_id(lease.issue).await?;
    let cancel = issue.running_task().is_some_and(|task| task.cancel_requested);
    Ok((first_messages(engine, run, cancel), Some(messages)))
}

/// Everything that a runner may have missed while it was not connected.
fn first_messages(engine: &Engine, run: RunId, cancel: bool) -> Vec<RunnerControl> {
    let mut messages = vec![RunnerControl::Ready, RunnerControl::Limits(engine.limits())];
    let at_once = engine.runners().is_stopped(run);
    if cancel || at_once {
        messages.push(RunnerControl::Cancel { at_once });
    }
    messages
}

/// The lease that the run holds, if it still does.
pub(crate) async fn lease_of(engine: &Engine, run: RunId) -> Result<Option<Lease>, StoreError> {
    let issue = engine.store().issue(run).await?;
    Ok(issue.and_then(|issue| issue.lease()).filter(|lease| lease.run == run))
}

/// The event that a fact stands for.
pub(crate) fn event(lease: Lease, body: Body) -> Option<Event> {
    match body {
        Body::Worktree { directory, branch, base_branch, base_sha } => {
            Some(Event::WorktreeReady { lease, worktree: Worktree { directory, branch, base_branch, base_sha } })
        }
        Body::Session { session, model, .. } => Some(Event::SessionOpened { lease, session, model }),
        Body::Progress { usage } => Some(Event::Progressed { lease, used: domain_usage(usage) }),
        Body::SessionLost { .. } => Some(Event::SessionLost { lease }),
        Body::Comment { number, question, text: _ } => {
            Some(Event::AgentCommented { lease, number, is_question: question })
        }
        Body::Ended { state, reason, hint, paused_until, head_sha, commits, pushed, usage } => {
            let verdict = Verdict::from_name(&state).unwrap_or(Verdict::Failed);
            let commits = commits.min(NUMBER_MAX);
            if state == LOST {
                return Some(Event::RunnerLost { lease, loss: Loss::Disappeared, reason });
            }
            let reason = Reason { text: reason, hint };
            let outcome = Outcome { verdict, reason, head_sha, commits, pushed, usage: domain_usage(usage) };
            let until = paused_until.and_then(|until| Timestamp::from_millisecond(until).ok());
            Some(match until.filter(|_| verdict == Verdict::Paused) {
                Some(until) => Event::RunPaused { lease, outcome, until },
                None => Event::RunEnded { lease, outcome },
            })
        }
        Body::Run { .. }
        | Body::Step { .. }
        | Body::Notice { .. }
        | Body::Prompt { .. }
        | Body::Text { .. }
        | Body::Thought { .. }
        | Body::ToolStarted { .. }
        | Body::ToolEnded { .. }
        | Body::Plan { .. }
        | Body::Permission { .. }
        | Body::Verified { .. }
        | Body::Usage { .. }
        | Body::Lost { .. } => None,
    }
}

/// Bounded, also for runners of earlier versions: the database adds these numbers up.
fn domain_usage(usage: WireUsage) -> Usage {
    let tokens = |number: Option<u64>| number.map(|number| number.min(NUMBER_MAX));
    Usage {
        cost_usd: usage.cost_usd.filter(|cost| cost.is_finite() && *cost >= 0.0).map(|cost| cost.min(COST_MAX)),
        input_tokens: tokens(usage.input_tokens),
        output_tokens: tokens(usage.output_tokens),
    }
}
