//! A value that wakes its waiters when it changes, across threads and runtimes. Tests use it to wait for the state of
//! this crate's servers, which run on their own threads, without polling.

use std::fmt::Debug;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

use crate::wait::DEADLINE;

/// A value behind a lock whose changes wake blocking and asynchronous waiters.
#[derive(Debug)]
pub struct Watched<T> {
    value: Mutex<T>,
    changed: Condvar,
    version: watch::Sender<u64>,
}

impl<T: Default> Default for Watched<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Watched<T> {
    pub fn new(value: T) -> Self {
        Self { value: Mutex::new(value), changed: Condvar::new(), version: watch::Sender::new(0) }
    }

    pub fn read<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.lock())
    }

    /// Changes the value and wakes all waiters.
    pub fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        self.version.send_modify(|version| *version += 1);
        result
    }

    /// Waits without a deadline until `look` returns a value. For the servers; tests use [`Watched::until`].
    pub async fn reached<R>(&self, mut look: impl FnMut(&T) -> Option<R>) -> R {
        let mut version = self.version.subscribe();
        loop {
            version.mark_unchanged();
            let found = self.read(&mut look);
            match found {
                Some(found) => return found,
                None => version.changed().await.expect("the sender lives in self"),
            }
        }
    }

    // The panic of another test thread must not be hidden by one about a poisoned lock.
    fn lock(&self) -> MutexGuard<'_, T> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Debug> Watched<T> {
    /// Waits until `look` returns a value. `what` completes the sentence "waited for ...".
    ///
    /// # Panics
    /// Panics after [`DEADLINE`]; the message shows the watched value.
    pub async fn until<R>(&self, what: &str, look: impl FnMut(&T) -> Option<R>) -> R {
        match tokio::time::timeout(DEADLINE, self.reached(look)).await {
            Ok(found) => found,
            Err(_) => self.read(|value| panic!("waited {DEADLINE:?} for {what}; last state: {value:?}")),
        }
    }

    /// Like [`Watched::until`], but blocks the thread, for tests without a runtime.
    ///
    /// # Panics
    /// Panics after [`DEADLINE`]; the message shows the watched value.
    #[track_caller]
    pub fn block_until<R>(&self, what: &str, mut look: impl FnMut(&T) -> Option<R>) -> R {
        let end = Instant::now() + DEADLINE;
        let mut value = self.lock();
        loop {
            if let Some(found) = look(&value) {
                return found;
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited {DEADLINE:?} for {what}; last state: {value:?}", value = *value);
            value = self.changed.wait_timeout(value, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn wakes_an_asynchronous_waiter_from_another_thread() {
        let watched = Arc::new(Watched::new(0));
        let writer = Arc::clone(&watched);
        let thread = std::thread::spawn(move || (0..3).for_each(|_| writer.change(|n| *n += 1)));
        let seen = watched.until("three", |n| (*n == 3).then_some(*n)).await;
        assert_eq!(seen, 3);
        thread.join().unwrap();
    }

    #[test]
    fn wakes_a_blocking_waiter() {
        let watched = Arc::new(Watched::new(0));
        let writer = Arc::clone(&watched);
        let thread = std::thread::spawn(move || (0..3).for_each(|_| writer.change(|n| *n += 1)));
        assert_eq!(watched.block_until("three", |n| (*n == 3).then_some(*n)), 3);
        thread.join().unwrap();
    }
}
