//! The holds of this moment: what keeps queued tasks from starting, from facts of the store, the settings and the machine.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use kugetsu_domain::budget::Start;
use kugetsu_domain::hold::{Brakes, FailedStarts, Headroom, Hold, Resource, Shortage, hold_of, holds, shortages};
use kugetsu_domain::model_limit::{Account, ModelLimit};
use kugetsu_domain::reason::Reason;
use kugetsu_domain::reference::RepoRef;
use kugetsu_domain::run::RunState;
use kugetsu_domain::task::TaskKind;
use kugetsu_store::error::StoreError;
use kugetsu_store::view::EndedRun;

use crate::budgets;
use crate::clock::local_time;
use crate::engine::Engine;
use crate::headroom::Unmeasured;

/// Returns every hold.
///
/// # Errors
/// The database failed.
pub async fn current(engine: &Engine) -> Result<Vec<Hold>, StoreError> {
    let quiet_hours = engine.settings().queue.quiet_hours.clone();
    let quiet_hours = quiet_hours.and_then(|hours| hours.around(engine.now(), &TimeZone::system()));
    let shortages = current_shortages(engine).await;
    let failed_starts = failed_starts(engine).await?;
    let model_limits = model_limits(engine).await?;
    let budgets = budgets::current(engine).await?;
    let pauses = engine.store().pauses().await?;
    Ok(holds(&Brakes { pauses, quiet_hours, shortages, failed_starts, model_limits, budgets }, engine.now()))
}

/// Returns the holds that are worth a warning.
///
/// # Errors
/// The database failed.
pub(crate) async fn felt(engine: &Engine) -> Result<Vec<Hold>, StoreError> {
    let mut holds = current(engine).await?;
    holds.retain(Hold::is_felt);
    Ok(holds)
}

/// Measures, and returns what there is too little of, with the times since when.
async fn current_shortages(engine: &Engine) -> Vec<(Shortage, Timestamp)> {
    let settings = engine.settings();
    let (min_memory, min_disk) = (settings.queue.min_memory, settings.queue.min_disk);
    let (headroom, mut unmeasured) = match min_memory == 0 && min_disk == 0 {
        true => (Headroom::default(), Vec::new()),
        false => {
            let (measure, home) = (engine.measure(), engine.home().clone());
            let measuring = tokio::task::spawn_blocking(move || measure(&home));
            measuring.await.unwrap_or_else(|error| {
                let of = |resource| Unmeasured { resource, error: error.to_string() };
                (Headroom::default(), vec![of(Resource::Memory), of(Resource::Disk)])
            })
        }
    };
    unmeasured.retain(|one| if one.resource == Resource::Disk { min_disk > 0 } else { min_memory > 0 });
    let found = shortages(headroom, min_memory, min_disk);
    let mut latest = engine.headroom().state();
    for one in unmeasured.iter().filter(|one| !latest.unmeasured.contains(one)) {
        tracing::warn!(resource = ?one.resource, error = one.error, "what is left cannot be measured; agents start as if it were enough");
    }
    let since = |resource| latest.short.iter().find(|(known, _)| known.resource == resource).map(|(_, since)| *since);
    let short: Vec<_> =
        found.into_iter().map(|one| (one, since(one.resource).unwrap_or_else(|| engine.now()))).collect();
    match (latest.short.is_empty(), short.is_empty()) {
        (true, false) => tracing::warn!(?short, "no agent is started: the machine has too little left"),
        (false, true) => tracing::info!("the machine has enough left again"),
        _ => {}
    }
    (latest.short, latest.unmeasured) = (short.clone(), unmeasured);
    short
}

/// Most runs of an agent that are looked at.
const RUNS_MAX: u32 = 50;

/// Whether a run shows that its agent works.
enum Shows {
    Works,
    Fails,
    Nothing,
}

/// Returns the agents whose latest runs failed before their model answered.
async fn failed_starts(engine: &Engine) -> Result<Vec<FailedStarts>, StoreError> {
    let mut found = Vec::new();
    let resumed_all = engine.store().resumed_at("").await?;
    for runs in engine.store().agent_runs(RUNS_MAX).await? {
        let resumed = engine.store().resumed_at(&runs.agent).await?.max(resumed_all);
        let is_later = |run: &&EndedRun| resumed.is_none_or(|resumed| run.ended_at > resumed);
        let shown = runs.ended.iter().take_while(is_later).map(|run| (run, shows(engine, run)));
        let failed = shown.take_while(|(_, shows)| !matches!(shows, Shows::Works));
        let failed: Vec<&EndedRun> =
            failed.filter(|(_, shows)| matches!(shows, Shows::Fails)).map(|(run, _)| run).collect();
        let (Some(last), Some(first)) = (failed.first(), failed.last()) else { continue };
        let mut later = runs.live.iter().filter(|(started, _)| *started >= last.ended_at).peekable();
        let is_tried = later.peek().is_some();
        if later.any(|(_, answered)| *answered) {
            continue;
        }
        found.push(FailedStarts {
            count: failed.len() as u32,
            first: first.ended_at,
            last: last.ended_at,
            reason: last.reason.clone().unwrap_or_default(),
            is_tried,
            agent: runs.agent,
        });
    }
    Ok(found)
}

fn shows(engine: &Engine, run: &EndedRun) -> Shows {
    let is_nothing = matches!(run.state, RunState::Canceled | RunState::Lost | RunState::Starting | RunState::Working);
    if is_nothing || !run.kind.needs_agent() {
        return Shows::Nothing;
    }
    if run.answered || run.state == RunState::Done {
        return Shows::Works;
    }
    // The brake for limits of providers takes care of those.
    if run.state == RunState::Paused {
        return Shows::Nothing;
    }
    // Without any answer, its model or its login is the reason, whatever the task is.
    if run.has_session {
        return Shows::Fails;
    }
    let has_failed = matches!(run.state, RunState::Failed | RunState::Blocked);
    // The agent's errors are kept from its start on. Before that, a repository or a server may be the reason.
    match has_failed && engine.home().run(run.id).agent_errors().exists() {
        true => Shows::Fails,
        false => Shows::Nothing,
    }
}

/// How long after its end a limit still makes tasks start one by one if none has tried the account.
const LIMIT_KEPT: SignedDuration = SignedDuration::from_hours(24);

/// Returns the limits of providers that accounts have met and that are not known to be over.
pub(crate) async fn model_limits(engine: &Engine) -> Result<Vec<ModelLimit>, StoreError> {
    let mut limits = engine.store().model_limits().await?;
    let oldest = engine.now().saturating_sub(LIMIT_KEPT).unwrap_or(Timestamp::MIN);
    limits.retain(|limit| limit.until > oldest || limit.probe.is_some());
    Ok(limits)
}

/// Whether a task of this account may start, be it only one, as far as limits of providers are concerned.
pub(crate) async fn may_try(engine: &Engine, account: &Account) -> Result<bool, StoreError> {
    let now = engine.now();
    Ok(!model_limits(engine).await?.iter().any(|limit| limit.account.may_be(account) && !limit.is_over(now)))
}

/// Returns the hold that keeps this task from starting.
///
/// # Errors
/// The database failed.
pub(crate) async fn of(engine: &Engine, start: &Start<'_>) -> Result<Option<Hold>, StoreError> {
    Ok(hold_of(&current(engine).await?, start).cloned())
}

/// Returns the hold by which `kugetsu pause` concerns this repository.
///
/// # Errors
/// The database failed.
pub(crate) async fn pause_of(engine: &Engine, repo: &RepoRef) -> Result<Option<Hold>, StoreError> {
    // Nothing else is read or measured: this is looked up for each issue of a watched repository.
    let brakes = Brakes { pauses: engine.store().pauses().await?, ..Brakes::default() };
    let start = Start { kind: TaskKind::Start, repo, issue: None, agent: "", model: None };
    Ok(hold_of(&holds(&brakes, engine.now()), &start).cloned())
}

/// The hold as a message, with what to type as the hint.
pub fn describe(hold: &Hold) -> Reason {
    hold.describe(local_time)
}
