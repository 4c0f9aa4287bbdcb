//! Who may begin: one at a time for each issue or repository, and a few looks at pull requests at once.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use jiff::Timestamp;
use kugetsu_domain::ids::IssueId;
use tokio::sync::{AcquireError, Mutex, OwnedMutexGuard, Semaphore, SemaphorePermit};

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

/// Maximum number of concurrent looks: servers limit concurrent requests, and after a start all pull requests are looked at.
const LOOKS_MAX: usize = 4;

#[derive(Debug)]
pub(crate) struct Looks {
    permits: Semaphore,
    /// When the pull request of an issue is looked at next, unless its server reports a change before.
    next: StdMutex<HashMap<IssueId, Timestamp>>,
    /// The head whose checks passed at the latest look at the pull request of an issue, and since when each look has found that.
    green: StdMutex<HashMap<IssueId, (String, Timestamp)>>,
}

impl Default for Looks {
    fn default() -> Self {
        Self { permits: Semaphore::new(LOOKS_MAX), next: StdMutex::default(), green: StdMutex::default() }
    }
}

impl Looks {
    /// Waits until another look may begin. The semaphore is never closed.
    pub(crate) async fn begin(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.permits.acquire().await
    }

    pub(crate) fn set_next(&self, issue: IssueId, at: Option<Timestamp>) {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        match at {
            Some(at) => next.insert(issue, at),
            None => next.remove(&issue),
        };
    }

    /// Notes a look at `now` that found the checks of `head` passed; `None` if they have not. Returns since when each look has found
    /// that.
    pub(crate) fn note_green(&self, issue: IssueId, head: Option<&str>, now: Timestamp) -> Option<Timestamp> {
        let mut green = self.green.lock().unwrap_or_else(PoisonError::into_inner);
        let before = green.remove(&issue);
        let head = head?;
        // The clock may have been set back.
        let since = before.filter(|(known, _)| known == head).map_or(now, |(_, since)| since.min(now));
        green.insert(issue, (head.to_owned(), since));
        Some(since)
    }

    pub(crate) fn next(&self, issue: IssueId) -> Option<Timestamp> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner).get(&issue).copied()
    }
}
