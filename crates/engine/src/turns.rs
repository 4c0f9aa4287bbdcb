//! One at a time for each issue, or for each repository.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use tokio::sync::{Mutex, OwnedMutexGuard};

type Locks<Key> = HashMap<Key, Arc<Mutex<()>>>;

/// Locks by key. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Turns<Key>(Arc<StdMutex<Locks<Key>>>);

impl<Key> Default for Turns<Key> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<Key: Clone + Eq + Hash> Turns<Key> {
    /// Waits until the turn of this key is free.
    pub(crate) async fn take(&self, key: &Key) -> OwnedMutexGuard<()> {
        let lock = {
            // Every change is one call, so a panic cannot have left one half done.
            let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Only locks in use are kept.
            locks.retain(|other, lock| other == key || Arc::strong_count(lock) > 1);
            Arc::clone(locks.entry(key.clone()).or_default())
        };
        lock.lock_owned().await
    }
}
