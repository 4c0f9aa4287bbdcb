//! The engine's one loop: settles the effects that were executed, gives free slots to queued tasks, and executes the
//! effects that are due.
//!
//! It reads what is stored and remembers nothing that matters, so a wake-up that is lost costs a delay, and a daemon that
//! dies costs nothing: effects that were not settled are claimed again. No other code retries an effect.

use std::collections::VecDeque;
use std::future::pending;
use std::time::Duration;

use jiff::Timestamp;
use kugetsu_domain::effect::Effect;
use kugetsu_store::effect::{ClaimedEffect, DELAY_MAX};
use kugetsu_store::error::StoreError;
use tokio::sync::mpsc;
use tracing::Instrument;

use crate::backoff;
use crate::effects::execute::execute;
use crate::effects::outcome::Outcome;
use crate::engine::Engine;
use crate::maintenance::maintain;
use crate::scheduler;
use crate::stall::look_for_stalls;
use crate::watch::{notices, poll::poll};

/// Effects that are claimed in one query.
const BATCH: usize = 64;

/// An executed effect, and how many times the settings had changed when it was claimed.
type Execution = (ClaimedEffect, Outcome, u64);

/// Runs the engine for as long as it is polled.
pub async fn serve_engine(engine: Engine) {
    let (polls, hooks) = (poll(engine.clone()), notices::serve(engine.clone()));
    tokio::join!(run(engine.clone()), maintain(engine.clone()), look_for_stalls(engine), polls, hooks);
}

async fn run(engine: Engine) {
    let (finished, mut executions) = mpsc::unbounded_channel();
    let mut state = Loop {
        engine: engine.clone(),
        finished,
        unsettled: VecDeque::new(),
        slots_full: false,
        retries_all: false,
        changes: 0,
    };
    let commits = engine.store().commits();
    let (mut settings, mut holds) = (engine.settings_changes(), engine.hold_changes());
    let mut failures = 0;
    loop {
        let deadline = match state.pass().await {
            Ok(next) => {
                failures = 0;
                engine.set_trouble(None);
                next
            }
            Err(error) => {
                failures += 1;
                engine.set_trouble(Some(error.clone()));
                let delay = backoff::delay(failures, backoff::LONGEST);
                tracing::error!(%error, "the database failed; trying again in {delay:?}");
                Some(engine.clock().after(delay))
            }
        };
        let deadline = async {
            match deadline {
                Some(deadline) => engine.clock().sleep_until(deadline).await,
                None => pending().await,
            }
        };
        tokio::pin!(deadline);
        loop {
            tokio::select! {
                () = &mut deadline => break,
                Some(execution) = executions.recv() => {
                    state.unsettled.push_back(execution);
                    while let Ok(execution) = executions.try_recv() {
                        state.unsettled.push_back(execution);
                    }
                    if failures == 0 {
                        break;
                    }
                }
                () = commits.effects_or_freed(), if failures == 0 => break,
                // A task that needs a slot is no reason to look while all are taken.
                () = commits.queued(), if failures == 0 && !state.slots_full => break,
                Ok(()) = settings.changed() => {
                    engine.runners().send_limits(engine.limits());
                    state.retries_all = true;
                    state.changes += 1;
                    if failures == 0 {
                        break;
                    }
                }
                Ok(()) = holds.changed(), if failures == 0 => break,
                () = engine.retries() => {
                    state.retries_all = true;
                    if failures == 0 {
                        break;
                    }
                }
            }
        }
    }
}

struct Loop {
    engine: Engine,
    finished: mpsc::UnboundedSender<Execution>,
    /// Executed, and not settled yet.
    unsettled: VecDeque<Execution>,
    /// Whether the last pass left no slot free.
    slots_full: bool,
    /// Whether the user may have corrected what effects failed for, such as a token, or requests another attempt.
    retries_all: bool,
    /// How many times the settings have changed.
    changes: u64,
}

impl Loop {
    /// Does everything that can be done now. Returns the time when the next effect is due, or a hold ends.
    ///
    /// # Errors
    /// The first failure of the database. It may lie in one row alone, so it does not keep the rest from being done.
    async fn pass(&mut self) -> Result<Option<Timestamp>, StoreError> {
        let settled = self.settle().await;
        let scheduled = scheduler::pass(&self.engine).await;
        let due = self.execute_due().await;
        settled?;
        let scheduled = scheduled?;
        self.slots_full = scheduled.slots_full;
        Ok(due?.into_iter().chain(scheduled.next).min())
    }

    async fn execute_due(&mut self) -> Result<Option<Timestamp>, StoreError> {
        loop {
            let now = self.engine.now();
            // Then those are due, too, that wait for another attempt.
            let until = if self.retries_all { self.engine.clock().after(DELAY_MAX) } else { now };
            let claimed = self.engine.store().claim_effects(until, BATCH).await?;
            if claimed.is_empty() {
                self.retries_all = false;
                return self.engine.store().next_effect_due(now).await;
            }
            for effect in claimed {
                self.spawn(effect);
            }
        }
    }

    fn spawn(&self, claimed: ClaimedEffect) {
        let (engine, finished, changes) = (self.engine.clone(), self.finished.clone(), self.changes);
        tokio::spawn(async move {
            let execution = tokio::spawn({
                let claimed = claimed.clone();
                let span = tracing::info_span!("effect", key = claimed.key, issue = %claimed.issue);
                async move { execute(&engine, &claimed).await }.instrument(span)
            });
            // A panic is a bug; the effect must not stay claimed because of it.
            let outcome = execution.await.unwrap_or_else(Outcome::retry);
            // A closed channel means that the daemon is stopping; the next one claims the effect again.
            let _ = finished.send((claimed, outcome, changes));
        });
    }

    /// Stores the results of executed effects. Those that the database does not take stay for the next pass.
    async fn settle(&mut self) -> Result<(), StoreError> {
        let mut failed = None;
        for (claimed, outcome, changes) in std::mem::take(&mut self.unsettled) {
            if let Err(error) = self.settle_one(&claimed, &outcome, changes).await {
                self.unsettled.push_back((claimed, outcome, changes));
                failed.get_or_insert(error);
            } else if let (Effect::Run(lease), Outcome::Settled(_)) = (claimed.effect, &outcome) {
                self.engine.runners().remove(lease.run);
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn settle_one(&self, claimed: &ClaimedEffect, outcome: &Outcome, changes: u64) -> Result<(), StoreError> {
        let (store, now) = (self.engine.store(), self.engine.clock().now());
        match outcome {
            Outcome::Settled(settlement) => {
                let refused = match store.settle_effect(claimed.id, settlement.clone(), now).await {
                    Ok(refused) => refused,
                    Err(error @ (StoreError::DiskFull | StoreError::Lost { .. } | StoreError::Closed)) => {
                        return Err(error);
                    }
                    // This result alone may be the problem; it must not keep the others from being stored.
                    Err(error) => return self.reschedule(claimed, error.to_string(), backoff::LONGEST).await,
                };
                for error in refused {
                    tracing::debug!(key = claimed.key, %error, "a result of an effect no longer applies");
                }
            }
            Outcome::Retry { error, longest } => {
                // It may have failed for what the user has corrected meanwhile.
                let longest = if changes == self.changes { *longest } else { backoff::FIRST };
                self.reschedule(claimed, error.clone(), longest).await?;
            }
            Outcome::GivenUp { error } => {
                tracing::error!(key = claimed.key, error, "an effect is given up");
                store.give_up_effect(claimed.id, error.clone()).await?;
            }
        }
        Ok(())
    }

    async fn reschedule(&self, claimed: &ClaimedEffect, error: String, longest: Duration) -> Result<(), StoreError> {
        let delay = backoff::delay(claimed.attempt + 1, longest);
        tracing::warn!(key = claimed.key, error, "an effect failed; trying again in {delay:?}");
        self.engine.store().reschedule_effect(claimed.id, self.engine.clock().after(delay), error).await
    }
}
