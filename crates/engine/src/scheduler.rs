//! Gives free slots to queued tasks.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;
use kugetsu_domain::flow::Event;
use kugetsu_domain::hold::HoldKind;
use kugetsu_domain::ids::{RunId, TaskId};
use kugetsu_domain::schedule::choose;
use kugetsu_store::error::StoreError;
use uuid::Uuid;

use crate::engine::Engine;
use crate::holds;

/// How long after a shortage was found the machine is measured again, unless something happens before.
const MEASURE_AGAIN: Duration = Duration::from_secs(15);

/// The result of a pass.
pub(crate) struct Passed {
    /// Whether all slots are in use.
    pub(crate) slots_full: bool,
    /// When a hold ends, or may have ended.
    pub(crate) next: Option<Timestamp>,
}

/// Claims every task that can begin now.
///
/// # Errors
/// The database failed. Tasks that were claimed before stay claimed.
pub(crate) async fn pass(engine: &Engine) -> Result<Passed, StoreError> {
    // A task that cannot be claimed is neither tried for ever nor does it keep the slot of one that can.
    let mut skipped: HashSet<TaskId> = HashSet::new();
    let mut failed = None;
    loop {
        let _claiming = engine.claims().lock().await;
        let max = engine.settings().agents.max;
        let in_use = engine.store().queue(0).await?.slots_in_use;
        let free = max.saturating_sub(in_use);
        let holds = holds::current(engine).await?;
        let is_short = holds.iter().any(|hold| matches!(hold.kind, HoldKind::Shortage(_)));
        let again = is_short.then(|| engine.clock().after(MEASURE_AGAIN));
        let next = holds.iter().filter_map(|hold| hold.until).chain(again).min();
        let mut candidates =
            engine.store().queue_without(free.saturating_add(skipped.len()), holds.clone()).await?.candidates;
        candidates.retain(|candidate| !skipped.contains(&candidate.task));
        let chosen = choose(&candidates, &holds, in_use, max);
        if chosen.is_empty() {
            return failed.map_or(Ok(Passed { slots_full: free == 0, next }), Err);
        }
        for candidate in chosen {
            let event = Event::TaskClaimed { task: candidate.task, run: RunId::new(Uuid::now_v7()) };
            match engine.apply(candidate.issue, event).await {
                Ok(_) => engine.note_start(),
                // The task was canceled or its issue is being destroyed since it was listed.
                Err(StoreError::Refused(reason)) => {
                    tracing::debug!(task = %candidate.task, %reason, "a task is not started");
                    skipped.insert(candidate.task);
                }
                Err(StoreError::Damaged { what }) => {
                    tracing::error!(task = %candidate.task, what, "a damaged task is skipped");
                    skipped.insert(candidate.task);
                }
                Err(error @ (StoreError::DiskFull | StoreError::Lost { .. } | StoreError::Closed)) => {
                    return Err(error);
                }
                // This task alone may be the problem, so the others are claimed first.
                Err(error) => {
                    tracing::error!(task = %candidate.task, %error, "a task could not be started");
                    skipped.insert(candidate.task);
                    failed = Some(error);
                }
            }
        }
    }
}
