//! Waits until a task's pause is over.
//!
//! The effect stays claimed for as long as the pause lasts. After a restart of the daemon, the rest of it is waited for. A pause
//! that the user ended is not waited for, and a clock that was set back lengthens no pause by more than a restart.

use jiff::Timestamp;
use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::{IssueId, TaskId};
use tokio::sync::broadcast::error::RecvError;

use super::outcome::Outcome;
use crate::engine::Engine;

/// `since` is when the pause began.
pub(crate) async fn execute(
    engine: &Engine,
    issue: IssueId,
    task: TaskId,
    until: Timestamp,
    since: Timestamp,
) -> Outcome {
    // Before the issue is read: a change after that is noticed.
    let mut events = engine.store().listen();
    let wait = engine.clock().sleep_until(end_of_wait(until, since, engine.now()));
    tokio::pin!(wait);
    loop {
        match engine.store().issue_by_id(issue).await {
            Ok(issue) if issue.task(task).is_some_and(|task| task.not_before == Some(until)) => {}
            Ok(_) => return Outcome::done(),
            Err(error) => return Outcome::retry(error),
        }
        loop {
            tokio::select! {
                () = &mut wait => return Outcome::event(issue, Event::PauseEnded { task, until }),
                event = events.recv() => match event {
                    Ok(event) if event.task != Some(task) => {}
                    Ok(_) | Err(RecvError::Lagged(_)) => break,
                    // The daemon stops; the next one waits for the rest.
                    Err(RecvError::Closed) => std::future::pending().await,
                },
            }
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
