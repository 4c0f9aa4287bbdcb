//! Which requests come from the runner of a run. A report is believed, and what a runner may read is shown, only to a
//! request that carries the run's key.
//!
//! The runner of a version without keys has none, and outlives an upgrade of the daemon. Its run has no stored key, so
//! every process may report for it but those of agents.

use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_api::run_key::{PublicKey, RunKey};
use kugetsu_domain::ids::RunId;
use kugetsu_store::error::StoreError;

use crate::callers::{Caller, refusal_inside_a_run};
use crate::engine::Engine;
use crate::problems::store_failed;

/// The right to act as the runner of a run.
#[derive(Debug)]
pub struct RunnerAccess {
    run: RunId,
}

impl RunnerAccess {
    pub fn run(&self) -> RunId {
        self.run
    }
}

/// The keys of a request, and the process that sent it.
#[derive(Clone, Copy, Debug)]
pub struct Credentials<'a> {
    /// The header with the key of a run.
    pub key: Option<&'a str>,
    pub caller: Caller,
}

/// Admits a request to what only the runner of a run may do.
///
/// # Errors
/// [`ProblemKind::Forbidden`]: it does not carry the run's key.
pub async fn authorize(engine: &Engine, run: RunId, sent: Credentials<'_>) -> Result<RunnerAccess, Problem> {
    let is_runner = match stored_key(engine, run).await.map_err(store_failed)? {
        Some(stored) => has_key(sent.key, &stored),
        None => matches!(sent.caller, Caller::Person) || sent.caller == Caller::Runner(run),
    };
    if is_runner {
        return Ok(RunnerAccess { run });
    }
    let issue = engine.store().issue(run).await.map_err(store_failed)?;
    let of = issue.map_or_else(|| format!("run {run}"), |issue| format!("run {run} of {}", issue.reference));
    if engine.is_first_refusal(run) {
        tracing::warn!(%run, caller = ?sent.caller, "refused a request that only the runner of this run may send");
    }
    let message = format!("only the runner of {of} may do this, and the request does not carry its key");
    Err(Problem::new(ProblemKind::Forbidden, message))
}

/// Admits a request to everything but what only runners may do. `is_tool` says whether it is one that the coordinator's
/// tools send.
///
/// # Errors
/// [`ProblemKind::Forbidden`]: a process of a run sent it.
pub async fn admit(engine: &Engine, sent: Credentials<'_>, is_tool: bool) -> Result<(), Problem> {
    let Some(refusal) = refusal_inside_a_run(engine.home(), sent.caller) else { return Ok(()) };
    let run = match sent.caller {
        Caller::Runner(run) => Some(run),
        Caller::Person | Caller::Agent(_) | Caller::Gone => None,
    };
    if is_tool
        && let Some(run) = run
        && is_coordinator(engine, run).await.map_err(store_failed)?
        && authorize(engine, run, sent).await.is_ok()
    {
        return Ok(());
    }
    if let Caller::Runner(run) | Caller::Agent(Some(run)) = sent.caller
        && engine.is_first_refusal(run)
    {
        tracing::warn!(%run, "refused a request of a process of this run");
    }
    Err(refusal)
}

async fn is_coordinator(engine: &Engine, run: RunId) -> Result<bool, StoreError> {
    let issue = engine.store().issue(run).await?;
    Ok(issue
        .is_some_and(|issue| issue.reference.is_coordinator() && issue.lease().is_some_and(|lease| lease.run == run)))
}

fn has_key(sent: Option<&str>, stored: &PublicKey) -> bool {
    sent.and_then(|key| key.parse::<RunKey>().ok()).is_some_and(|key| key.public() == *stored)
}

/// The public part of a run's key; `None` if it has none.
///
/// # Errors
/// The database cannot be read, or what it has is no key.
pub(crate) async fn stored_key(engine: &Engine, run: RunId) -> Result<Option<PublicKey>, StoreError> {
    let stored = engine.store().run_key(run).await?;
    let damaged = |_| StoreError::Damaged { what: format!("the key of run {run} cannot be read") };
    stored.map(|text| text.parse()).transpose().map_err(damaged)
}
