//! Waits until a task's pause is over.
//!
//! The effect stays claimed for as long as the pause lasts. After a restart of the daemon, the rest of it is waited for. A pause
//! that the user ended is not waited for, and a clock that was set back lengthens no pause by more than a restart.

use std::future::pending;

use jiff::Timestamp;
use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::{IssueId, TaskId};
use kugetsu_domain::issue::Issue;
use kugetsu_domain::model_limit::Account;
use kugetsu_store::error::StoreError;

use super::outcome::Outcome;
use super::wait::{Waited, while_wanted};
use crate::engine::Engine;
use crate::holds;

/// `since` is when the pause began.
pub(crate) async fn execute(
    engine: &Engine,
    issue: IssueId,
    task: TaskId,
    until: Timestamp,
    since: Timestamp,
) -> Outcome {
    let account = match limited_account(engine, task).await {
        Ok(account) => account,
        Err(error) => return Outcome::retry(error),
    };
    let over = async {
        let end = engine.clock().sleep_until(end_of_wait(until, since, engine.now()));
        tokio::select! {
            () = end => {}
            () = may_try(engine, account) => {}
        }
    };
    let is_paused = |issue: &Issue| issue.task(task).is_some_and(|task| task.not_before == Some(until));
    match while_wanted(engine, issue, over, is_paused).await {
        Ok(Waited::Over) => Outcome::event(issue, Event::PauseEnded { task, until }),
        Ok(Waited::Pointless) => Outcome::done(),
        Err(error) => Outcome::retry(error),
    }
}

/// The account whose limit caused the pause; `None` if it has another reason.
async fn limited_account(engine: &Engine, task: TaskId) -> Result<Option<Account>, StoreError> {
    let run = engine.store().view(task).await?.and_then(|view| view.run);
    let limited = run.filter(|run| run.limited_until.is_some());
    Ok(limited.map(|run| Account { agent: run.agent, provider: run.provider }))
}

/// Waits until the account may be tried: a person resumed it, or the model answered another run of it.
async fn may_try(engine: &Engine, account: Option<Account>) {
    let Some(account) = account else { return pending().await };
    let mut changes = engine.hold_changes();
    loop {
        match holds::may_try(engine, &account).await {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "the end of a pause may be noticed late"),
        }
        if changes.changed().await.is_err() {
            return pending().await;
        }
    }
}

/// A clock that was set back after the pause began must not make it longer.
fn end_of_wait(until: Timestamp, since: Timestamp, now: Timestamp) -> Timestamp {
    until.min(now.saturating_add(until.duration_since(since)).unwrap_or(until))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_that_was_set_back_does_not_lengthen_a_pause() {
        let at = |second| Timestamp::from_second(second).unwrap();
        for (now, end) in [(1000, 1600), (1500, 1600), (9000, 1600), (100, 700)] {
            assert_eq!(end_of_wait(at(1600), at(1000), at(now)), at(end), "{now}");
        }
    }
}
