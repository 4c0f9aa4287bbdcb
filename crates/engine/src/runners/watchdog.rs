//! The daemon's watchdog: a run ends within its limit, even if its runner does not end it.
//!
//! A runner keeps the limits itself, and ends its run in order. It cannot if it is stopped, or if its own part hangs: a file
//! that blocks its reader, a git command that waits. Then the runner is killed with everything that it started, and the work
//! is rescued without it.

use std::ffi::OsString;
use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kugetsu_domain::duration;
use kugetsu_domain::ids::RunId;
use kugetsu_domain::issue::Issue;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::clock::Clock;
use crate::engine::Engine;
use crate::moved_home::marker;

/// How long a runner may take to end a run that has reached its limit or was canceled: it cancels the agent's turn, ends
/// every process, and rescues the work.
const GRACE: Duration = Duration::from_secs(60);
/// How often the time is added up.
const TICK: Duration = Duration::from_secs(20);
/// A tick that takes this much longer shows that the machine slept, or that the clock was set.
const JUMP: Duration = Duration::from_secs(15);
/// How long a killed runner may take to be gone.
const GONE_LIMIT: Duration = Duration::from_secs(5);

/// Why a runner was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overdue {
    /// The run's time limit.
    Limit(Duration),
    Canceled,
}

/// Waits until the runner is gone, and kills it if it is overdue. `known_since` is when the run was launched, or, if an
/// earlier daemon did that, when it was claimed. Returns what `gone` returned, unless the runner could not be killed.
pub(crate) async fn wait<T>(
    engine: &Engine,
    issue: &Issue,
    run: RunId,
    known_since: Timestamp,
    gone: impl Future<Output = T>,
) -> (Option<T>, Option<Overdue>) {
    let mut gone = std::pin::pin!(gone);
    let canceled = issue.running_task().is_some_and(|task| task.cancel_requested);
    let mut watch = Watch::new(engine, run, known_since, canceled);
    let overdue = tokio::select! {
        gone = &mut gone => return (Some(gone), None),
        overdue = watch.overdue() => overdue,
    };
    tracing::warn!(%run, %overdue, "a runner is overdue; killing it");
    if let Err(error) = kill(engine, run).await {
        tracing::error!(%run, error, "an overdue runner could not be killed");
    }
    (timeout(GONE_LIMIT, gone).await.ok(), Some(overdue))
}

/// Kills the runner and everything that it started.
pub(crate) async fn kill(engine: &Engine, run: RunId) -> Result<(), String> {
    let marker = marker(engine.home(), &run.to_string()).map_err(|error| error.to_string())?;
    // As `launch` starts it.
    let arguments = [OsString::from("runner"), engine.home().run(run).path().into()];
    let swept = kugetsu_process::kill_with_arguments(&arguments, &marker).await.map_err(|error| error.to_string())?;
    match swept.survivors.as_slice() {
        [] => Ok(()),
        survivors => Err(format!("these processes could not be ended: {survivors:?}")),
    }
}

struct Watch<'a> {
    engine: &'a Engine,
    canceled: watch::Receiver<bool>,
    /// For how long the run has lasted while the machine was awake.
    elapsed: Duration,
    /// The same since it was canceled.
    since_cancel: Option<Duration>,
}

impl<'a> Watch<'a> {
    fn new(engine: &'a Engine, run: RunId, known_since: Timestamp, canceled: bool) -> Self {
        let elapsed = passed(known_since, engine.now());
        // How much of it the machine slept is not known. A runner that is alive has at least the grace.
        let elapsed = elapsed.min(limit(engine));
        let receiver = engine.runners().cancellation(run);
        let canceled = canceled || *receiver.borrow();
        Self { engine, canceled: receiver, elapsed, since_cancel: canceled.then_some(Duration::ZERO) }
    }

    async fn overdue(&mut self) -> Overdue {
        loop {
            let limit = limit(self.engine);
            let left = (limit + GRACE).saturating_sub(self.elapsed);
            let left_to_cancel = self.since_cancel.map(|since| GRACE.saturating_sub(since));
            if left_to_cancel.is_some_and(|left| left.is_zero()) {
                return Overdue::Canceled;
            }
            if left.is_zero() {
                return Overdue::Limit(limit);
            }
            let tick = TICK.min(left).min(left_to_cancel.unwrap_or(left));
            let clock = self.engine.clock();
            let before = clock.now();
            // An error means that the run is over: the caller stops waiting.
            let is_canceled = tokio::select! {
                () = clock.sleep(tick) => false,
                Ok(()) = self.canceled.changed(), if self.since_cancel.is_none() => *self.canceled.borrow_and_update(),
            };
            let awake = awake(clock, tick, passed(before, clock.now()));
            self.elapsed += awake;
            self.since_cancel = match self.since_cancel {
                Some(since) => Some(since + awake),
                None => is_canceled.then_some(Duration::ZERO),
            };
        }
    }
}

fn limit(engine: &Engine) -> Duration {
    Duration::from_secs(engine.limits().timeout_seconds)
}

fn passed(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from).max(SignedDuration::ZERO)).unwrap_or_default()
}

/// How much of `passed` counts, of which `tick` was expected.
fn awake(clock: &Clock, tick: Duration, passed: Duration) -> Duration {
    match clock {
        Clock::System if passed > tick + JUMP => tick,
        _ => passed,
    }
}

impl fmt::Display for Overdue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let grace = duration::format(GRACE);
        match self {
            Self::Limit(limit) => {
                let limit = duration::format(*limit);
                write!(f, "the run exceeded its time limit of {limit} (setting run.timeout)")?;
            }
            Self::Canceled => f.write_str("the run was canceled")?,
        }
        write!(f, "; its runner did not end it within {grace} and was killed; the work is kept")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleep_of_the_machine_does_not_count() {
        let (tick, second) = (Duration::from_secs(20), Duration::from_secs(1));
        assert_eq!(awake(&Clock::System, tick, tick + second), tick + second, "a busy machine");
        assert_eq!(awake(&Clock::System, tick, second * 3600), tick);
        assert_eq!(awake(&Clock::System, tick, second), second, "the tick was cut short");
        let (earlier, later) = (Timestamp::from_second(10).unwrap(), Timestamp::from_second(30).unwrap());
        assert_eq!(passed(earlier, later), tick);
        assert_eq!(passed(later, earlier), Duration::ZERO, "the clock was set back");
    }
}
