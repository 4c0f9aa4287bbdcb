//! The alarm for work that does not start: it could, there is a slot for it, and nothing was started for the time of
//! `queue.stall_alarm`. It is logged once, and shown until something is started.

use std::time::Duration;

use kugetsu_domain::reference::IssueRef;
use kugetsu_domain::schedule::{StallAlarm, Work, choose};
use kugetsu_domain::watch::conditions::{Condition, Met};
use kugetsu_store::error::StoreError;

use crate::engine::Engine;
use crate::holds;
use crate::repo_file::with_known_file;
use crate::watch::handover::local_conditions;

/// Longest and shortest time between two looks.
const LONGEST: Duration = Duration::from_secs(60);
const SHORTEST: Duration = Duration::from_secs(1);

/// Looks for stalled work until it is dropped.
pub(crate) async fn look_for_stalls(engine: Engine) {
    let (mut alarm, mut settings) = (StallAlarm::default(), engine.settings_changes());
    loop {
        let after = engine.settings().queue.stall_alarm;
        match work(&engine).await {
            Ok(work) => {
                let stall = alarm.note(work, engine.last_start(), after, engine.now());
                match (&stall, engine.stall()) {
                    (Some(stall), None) => tracing::warn!(
                        since = %stall.since,
                        tasks = stall.work.tasks,
                        issues = ?stall.work.issues.iter().map(ToString::to_string).collect::<Vec<_>>(),
                        "work could start, but nothing was started for a long time"
                    ),
                    (None, Some(_)) => tracing::info!("work is started again"),
                    _ => {}
                }
                engine.set_stall(stall);
            }
            // The main loop reports that the database fails.
            Err(error) => tracing::debug!(%error, "stalled work cannot be looked for"),
        }
        let pause = if after.is_zero() { LONGEST } else { (after / 4).clamp(SHORTEST, LONGEST) };
        tokio::select! {
            () = engine.clock().sleep(pause) => {}
            changed = settings.changed() => if changed.is_err() {
                return;
            },
        }
    }
}

/// Returns the work that could begin now.
async fn work(engine: &Engine) -> Result<Work, StoreError> {
    let (store, settings) = (engine.store(), engine.settings());
    let max = settings.agents.max;
    let holds = holds::current(engine).await?;
    let queue = store.queue_without(max, holds.clone()).await?;
    let mut work = Work { tasks: choose(&queue.candidates, &holds, queue.slots_in_use, max).len(), issues: Vec::new() };
    for watch in settings.watches.iter().filter(|watch| !watch.is_paused) {
        let watch = &with_known_file(engine, watch);
        for (number, candidate) in store.candidates(watch.repo.clone()).await? {
            let is_met = |condition: &Condition| condition.met == Met::Yes;
            let was_ready = candidate.conditions.iter().filter(|one| !one.kind.is_local()).all(is_met);
            if was_ready && local_conditions(engine, watch, number).await?.iter().all(is_met) {
                work.issues.push(IssueRef { repo: watch.repo.clone(), number });
            }
        }
    }
    Ok(work)
}
