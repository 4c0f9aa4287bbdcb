//! Gives queued tasks their places. Woken by whatever may have freed one; never by a clock.
//!
//! It looks at what is stored, not at what it was told, so a lost wake-up costs a delay until the next one and nothing
//! else.

use std::collections::HashSet;
use std::time::Duration;

use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::{RunId, TaskId};
use kugetsu_domain::schedule;
use kugetsu_store::error::StoreError;
use uuid::Uuid;

use crate::engine::Engine;

/// How long to wait before trying again when the database refuses: at first, and at most.
const AFTER_A_FAULT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Dispatches for as long as the engine lives.
pub(crate) async fn run(engine: Engine) {
    loop {
        engine.dispatch_wanted().await;
        let mut wait = AFTER_A_FAULT;
        while let Err(error) = pass(&engine).await {
            tracing::error!(%error, "not every queued task could begin; trying again in {wait:?}");
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }
}

/// One look: every task that can begin now does.
async fn pass(engine: &Engine) -> Result<(), StoreError> {
    // A task that could not begin must neither be tried for ever nor keep the place of one that can.
    let mut passed_over: HashSet<TaskId> = HashSet::new();
    let mut fault = None;
    loop {
        engine.set_full(false);
        let max = engine.settings().agents_max;
        let taken = engine.store().queue(0).await?.slots_in_use;
        let free = max.saturating_sub(taken);
        let looked_at = if free == 0 { 0 } else { free + passed_over.len() };
        let mut waiting = engine.store().queue(looked_at).await?.candidates;
        waiting.retain(|candidate| !passed_over.contains(&candidate.task));
        let chosen = schedule::choose(&waiting, taken, max);
        if chosen.is_empty() {
            engine.set_full(free == 0);
            return fault.map_or(Ok(()), Err);
        }
        for candidate in chosen {
            let event = Event::TaskClaimed { task: candidate.task, run: RunId::new(Uuid::now_v7()) };
            match engine.apply(candidate.issue, event).await {
                Ok(_) => {}
                // The task was canceled or its issue is being destroyed since it was listed.
                Err(StoreError::Refused(why)) => {
                    tracing::debug!(task = %candidate.task, %why, "a task was passed over");
                    passed_over.insert(candidate.task);
                }
                Err(StoreError::Damaged { what }) => {
                    tracing::error!(task = %candidate.task, what, "a damaged task is set aside; the rest goes on");
                    passed_over.insert(candidate.task);
                }
                Err(error @ (StoreError::DiskFull | StoreError::Closed)) => return Err(error),
                // It may be this one alone: the others get their chance before it is tried again.
                Err(error) => {
                    tracing::error!(task = %candidate.task, %error, "a task could not begin");
                    passed_over.insert(candidate.task);
                    fault = Some(error);
                }
            }
        }
    }
}
