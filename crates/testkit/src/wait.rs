//! Waiting for a condition with a generous deadline, so that no test depends on the speed of the machine.
//!
//! Polling is the last resort: what can tell is better awaited through [`crate::watched::Watched`].

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// How long a test waits for what must come. Long enough for a loaded machine, since a test that passes never waits it.
pub const DEADLINE: Duration = Duration::from_secs(60);

const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// What a probe found: the awaited value, or a description of the state that is not there yet.
pub trait Probe {
    /// What the wait returns once it is there.
    type Value;

    /// The value, or the state to show if the deadline passes now.
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
        self.ok_or_else(|| "nothing is there".to_owned())
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
/// When [`DEADLINE`] has passed; the message shows the last state the probe reported.
#[track_caller]
pub fn eventually<P: Probe>(what: &str, probe: impl FnMut() -> P) -> P::Value {
    eventually_within(DEADLINE, what, probe)
}

/// [`eventually`] with a limit of the caller's, for what takes minutes on a slow machine.
///
/// # Panics
/// As [`eventually`].
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

/// [`eventually`] for asynchronous probes; the task yields while it waits.
///
/// # Panics
/// As [`eventually`].
pub async fn eventually_async<P: Probe, F: Future<Output = P>>(what: &str, mut probe: impl FnMut() -> F) -> P::Value {
    let mut pauses = Pauses::new(DEADLINE);
    loop {
        match probe().await.outcome() {
            Ok(value) => return value,
            Err(state) => tokio::time::sleep(pauses.next_or_panic(what, &state)).await,
        }
    }
}

/// Growing pauses between two probes, up to the deadline.
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
    fn tells_what_was_awaited_and_the_last_state() {
        let mut pauses = Pauses { started: Instant::now() - DEADLINE, limit: DEADLINE, next: Duration::ZERO };
        let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| pauses.next_or_panic("rain", "\"sun\"")));
        let message = *told.unwrap_err().downcast::<String>().unwrap();
        assert_eq!(message, "waited 60s for rain; last state: \"sun\"");
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
