//! Time without the periods in which this machine slept, or this process did not run.
//!
//! A laptop that is closed, a paused virtual machine and a stopped process have one thing in common: an agent was not silent
//! only because nothing was heard of it meanwhile.

use std::fs;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How often the time is looked at.
const TICK: Duration = Duration::from_secs(10);
/// A tick that takes this much longer shows that the process did not run. A busy machine delays one by less.
const JUMP: Duration = Duration::from_secs(15);
/// The system's clock pauses while the machine sleeps, and its time since boot does not. This difference shows that it slept.
const SUSPENDED: Duration = Duration::from_secs(5);

/// Clones share the time.
#[derive(Clone, Debug)]
pub(crate) struct AwakeClock(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// Whether the time is looked at regularly, so that a long pause means something.
    ticks: bool,
    /// When the time was looked at last.
    seen: Instant,
    /// The time since boot then, where the system tells it.
    uptime: Option<Duration>,
    /// How much of the time does not count.
    missed: Duration,
    /// How often time was missed, or the machine slept.
    wakes: u32,
}

impl AwakeClock {
    /// A clock that misses nothing.
    #[cfg(test)]
    pub(crate) fn plain() -> Self {
        Self::new(false)
    }

    /// Starts the clock, on the current runtime.
    pub(crate) fn start() -> Self {
        let clock = Self::new(true);
        let ticking = clock.clone();
        tokio::spawn(async move {
            loop {
                sleep(TICK).await;
                // The last user of the clock is gone.
                if Arc::strong_count(&ticking.0) == 1 {
                    return;
                }
                drop(ticking.look());
            }
        });
        clock
    }

    fn new(ticks: bool) -> Self {
        let state = State { ticks, seen: Instant::now(), uptime: uptime(), missed: Duration::ZERO, wakes: 0 };
        Self(Arc::new(Mutex::new(state)))
    }

    /// The time now, to be compared with earlier times of this clock only.
    pub(crate) fn now(&self) -> Instant {
        let state = self.look();
        state.seen - state.missed
    }

    /// A number that changes whenever the machine or this process continues after a pause.
    pub(crate) fn wakes(&self) -> u32 {
        self.look().wakes
    }

    fn look(&self) -> MutexGuard<'_, State> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if state.ticks {
            let uptime = uptime();
            state.look(now, uptime);
        }
        state.seen = now;
        state
    }
}

impl State {
    fn look(&mut self, now: Instant, uptime: Option<Duration>) {
        let passed = now - self.seen;
        let since_boot = uptime.zip(self.uptime).map(|(now, before)| now.saturating_sub(before));
        let is_late = passed > TICK + JUMP;
        if is_late {
            self.missed += passed - TICK;
        }
        if is_late || since_boot.is_some_and(|since| since > passed + SUSPENDED) {
            self.wakes += 1;
            tracing::info!(?passed, ?since_boot, "the machine or this process has slept");
        }
        self.uptime = uptime;
    }
}

/// The time since boot, in which the machine may have slept.
fn uptime() -> Option<Duration> {
    let text = fs::read_to_string("/proc/uptime").ok()?;
    Duration::try_from_secs_f64(text.split(' ').next()?.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn pauses_do_not_count() {
        let seen = Instant::now();
        let state = || State { ticks: true, seen, uptime: Some(SECOND), missed: Duration::ZERO, wakes: 0 };
        let mut busy = state();
        busy.look(seen + TICK + SECOND, Some(SECOND + TICK + SECOND));
        assert_eq!((busy.missed, busy.wakes), (Duration::ZERO, 0), "a busy machine");
        let mut paused = state();
        paused.look(seen + SECOND * 3600, Some(SECOND * 3601));
        assert_eq!((paused.missed, paused.wakes), (SECOND * 3600 - TICK, 1), "a paused process");
        let mut suspended = state();
        suspended.look(seen + TICK, Some(SECOND * 3601));
        assert_eq!((suspended.missed, suspended.wakes), (Duration::ZERO, 1), "the clock paused");
        let mut unknown = state();
        unknown.look(seen + TICK, None);
        assert_eq!((unknown.missed, unknown.wakes), (Duration::ZERO, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn time_that_is_looked_at_regularly_counts() {
        let clock = AwakeClock::start();
        let start = clock.now();
        sleep(SECOND * 600).await;
        assert_eq!((clock.now() - start, clock.wakes()), (SECOND * 600, 0));
    }
}
