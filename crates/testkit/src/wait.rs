//! Polls a condition up to a generous deadline, so that no test depends on the speed of the machine.
//!
//! Polling is the last resort: a value that a test double holds is better awaited with [`crate::watched::Watched`].

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// Limit for a condition to become true. Generous for a loaded machine; only a failing test waits this long.
pub const DEADLINE: Duration = Duration::from_secs(180);

const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// The result of one poll: the awaited value, or a description of the current state.
pub trait Probe {
    type Value;

    /// The value, or the state to show in the panic message if the deadline passes.
    fn outcome(self) -> Result<Self::Value, String>;
}

impl Probe for bool {
    type Value = ();

    fn outcome(self) -> Result<(), String> {
        if self { Ok(()) } else { Err("the condition is false".to_owned()) }
    }
}

impl<T> Probe for Option<T> {
    type Value = T;

    fn outcome(self) -> Result<T, String> {
        self.ok_or_else(|| "none".to_owned())
    }
}

impl<T, E: Debug> Probe for Result<T, E> {
    type Value = T;

    fn outcome(self) -> Result<T, String> {
        self.map_err(|error| format!("{error:?}"))
    }
}

/// Calls `probe` until it succeeds and returns its value. `what` completes the sentence "waited for ...".
///
/// # Panics
/// Panics after [`DEADLINE`] with the last state that the probe returned.
#[track_caller]
pub fn eventually<P: Probe>(what: &str, probe: impl FnMut() -> P) -> P::Value {
    eventually_within(DEADLINE, what, probe)
}

/// Like [`eventually`] with another limit, for conditions that take minutes on a slow machine.
///
/// # Panics
/// Panics after `limit`.
#[track_caller]
pub fn eventually_within<P: Probe>(limit: Duration, what: &str, mut probe: impl FnMut() -> P) -> P::Value {
    let mut pauses = Pauses::new(limit);
    loop {
        match probe().outcome() {
            Ok(value) => return value,
            Err(state) => std::thread::sleep(pauses.next_or_panic(what, &state)),
        }
    }
}

/// Like [`eventually`] for asynchronous probes. The task yields while it waits.
///
/// # Panics
/// Panics after [`DEADLINE`].
pub async fn eventually_async<P: Probe, F: Future<Output = P>>(what: &str, mut probe: impl FnMut() -> F) -> P::Value {
    let mut pauses = Pauses::new(DEADLINE);
    loop {
        match probe().await.outcome() {
            Ok(value) => return value,
            Err(state) => tokio::time::sleep(pauses.next_or_panic(what, &state)).await,
        }
    }
}

/// Exponentially growing pauses between two polls.
struct Pauses {
    started: Instant,
    limit: Duration,
    next: Duration,
}

impl Pauses {
    fn new(limit: Duration) -> Self {
        Self { started: Instant::now(), limit, next: Duration::from_millis(1) }
    }

    #[track_caller]
    fn next_or_panic(&mut self, what: &str, state: &str) -> Duration {
        let limit = self.limit;
        assert!(self.started.elapsed() < limit, "waited {limit:?} for {what}; last state: {state}");
        let pause = self.next;
        self.next = (pause * 2).min(LONGEST_PAUSE);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_the_value_once_the_probe_succeeds() {
        let mut calls = 0;
        let value = eventually("the third call", || {
            calls += 1;
            if calls == 3 { Ok(calls) } else { Err(format!("call {calls}")) }
        });
        assert_eq!(value, 3);
    }

    #[test]
    fn panics_with_the_condition_and_the_last_state() {
        let mut pauses = Pauses { started: Instant::now(), limit: Duration::ZERO, next: Duration::ZERO };
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| pauses.next_or_panic("rain", "\"sun\"")));
        let message = *result.unwrap_err().downcast::<String>().unwrap();
        assert_eq!(message, "waited 0ns for rain; last state: \"sun\"");
    }

    #[tokio::test]
    async fn asynchronous_probes_are_awaited_too() {
        let mut calls = 0;
        eventually_async("the second call", || {
            calls += 1;
            std::future::ready(calls == 2)
        })
        .await;
        assert_eq!(calls, 2);
    }
}
