//! Waiting within a turn: for a time, for an answer or forever, and always for a cancel too.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The turn was cancelled by the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cancelled;

/// Blocks until a signal kills the process.
pub(super) fn block_forever() -> ! {
    loop {
        std::thread::park();
    }
}

/// Wakes a turn.
#[derive(Debug, Default)]
pub(super) struct Signal {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    cancelled: bool,
    answers: HashMap<u64, Value>,
}

impl Signal {
    pub(super) fn cancel(&self) {
        self.change(|state| state.cancelled = true);
    }

    /// Delivers the answer to the request `id`.
    pub(super) fn answer(&self, id: u64, result: Value) {
        self.change(|state| drop(state.answers.insert(id, result)));
    }

    pub(super) fn await_answer(&self, id: u64) -> Result<Value, Cancelled> {
        self.wait(None, |state| state.answers.remove(&id)).map(|answer| answer.expect("there is no deadline"))
    }

    pub(super) fn pause(&self, time: Duration) -> Result<(), Cancelled> {
        self.wait(Some(time), |_| None::<()>).map(drop)
    }

    pub(super) fn wait_for_cancel(&self) -> Cancelled {
        match self.wait(None, |_| None::<()>) {
            Err(cancelled) => cancelled,
            Ok(_) => unreachable!("there is no deadline and no value"),
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    /// Waits until `look` returns a value or `time` has passed (`None`), unless the turn is cancelled.
    fn wait<T>(
        &self,
        time: Option<Duration>,
        mut look: impl FnMut(&mut State) -> Option<T>,
    ) -> Result<Option<T>, Cancelled> {
        let end = time.map(|time| Instant::now() + time);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if state.cancelled {
                return Err(Cancelled);
            }
            if let Some(found) = look(&mut state) {
                return Ok(Some(found));
            }
            // The cancel is checked first, so that a zero pause sees it too.
            let left = end.map_or(Duration::from_secs(3600), |end| end.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Ok(None);
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
