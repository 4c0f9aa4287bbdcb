//! One at a time for each issue.

use std::collections::HashMap;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use kugetsu_domain::ids::IssueId;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// Locks by issue. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turns(Arc<StdMutex<HashMap<IssueId, Arc<Mutex<()>>>>>);

impl Turns {
    /// Waits until the turn of this issue is free.
    pub(crate) async fn take(&self, issue: IssueId) -> OwnedMutexGuard<()> {
        let lock = {
            // Every change is one call, so a panic cannot have left one half done.
            let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Only locks in use are kept.
            locks.retain(|other, lock| *other == issue || Arc::strong_count(lock) > 1);
            Arc::clone(locks.entry(issue).or_default())
        };
        lock.lock_owned().await
    }
}
