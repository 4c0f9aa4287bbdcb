//! The engine's time. Everything in the engine that reads the time or waits for a time uses it, so that tests run hours in
//! milliseconds.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::time::Instant;

/// Longest wait before a deadline is compared with the wall clock again: the clock may be set, and the machine may sleep.
const RECHECK: Duration = Duration::from_secs(60);

/// A source of time. Clones share it.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The system's wall clock.
    #[default]
    System,
    /// A clock that stands still until it is set.
    Manual(watch::Receiver<Timestamp>),
}

/// A time for people, in the time zone of this machine.
pub(crate) fn local_time(time: Timestamp) -> String {
    time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

impl Clock {
    /// Returns a clock at `start` and the handle that sets it.
    pub fn manual(start: Timestamp) -> (Self, watch::Sender<Timestamp>) {
        let (set, time) = watch::channel(start);
        (Self::Manual(time), set)
    }

    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp::now(),
            Self::Manual(time) => *time.borrow(),
        }
    }

    /// Returns `duration` from now, or the latest time there is.
    pub fn after(&self, duration: Duration) -> Timestamp {
        let duration = SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
        self.now().checked_add(duration).unwrap_or(Timestamp::MAX)
    }

    /// Waits until the clock shows `deadline`, and not longer than that takes now: the clock may be set back meanwhile.
    pub async fn sleep_until(&self, deadline: Timestamp) {
        match self {
            Self::System => {
                let left = || Duration::try_from(deadline.duration_since(Timestamp::now())).unwrap_or_default();
                let (began, longest) = (Instant::now(), left());
                loop {
                    let rest = left().min(longest.saturating_sub(began.elapsed()));
                    if rest.is_zero() {
                        return;
                    }
                    tokio::time::sleep(rest.min(RECHECK)).await;
                }
            }
            Self::Manual(time) => {
                // A clock whose handle is gone stands still for ever.
                if time.clone().wait_for(|now| *now >= deadline).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    /// Waits for `duration`.
    pub async fn sleep(&self, duration: Duration) {
        self.sleep_until(self.after(duration)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn manual_clock_wakes_sleepers_when_it_is_set() {
        let start = Timestamp::from_second(1000).unwrap();
        let (clock, set) = Clock::manual(start);
        let deadline = clock.after(Duration::from_secs(3600));
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep_until(deadline).await }
        });
        set.send_replace(Timestamp::from_second(4599).unwrap());
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        set.send_replace(Timestamp::from_second(4600).unwrap());
        sleeper.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn clock_that_is_set_back_does_not_lengthen_a_wait() {
        // The time of this test is not that of the system, which hardly moves.
        let hour = Duration::from_secs(3600);
        tokio::time::timeout(hour * 2, Clock::System.sleep(hour)).await.expect("it ends");
    }

    #[tokio::test]
    async fn deadline_in_the_past_does_not_wait() {
        Clock::System.sleep_until(Timestamp::UNIX_EPOCH).await;
    }
}
