//! Looks at pull requests that are in progress or due.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use kugetsu_domain::ids::IssueId;
use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};

/// Maximum number of concurrent looks: servers limit concurrent requests, and after a start all pull requests are looked at.
const LOOKS_MAX: usize = 4;

#[derive(Debug)]
pub(crate) struct Looks {
    permits: Semaphore,
    /// When the pull request of an issue is looked at next, unless its server reports a change before.
    next: Mutex<HashMap<IssueId, Timestamp>>,
}

impl Default for Looks {
    fn default() -> Self {
        Self { permits: Semaphore::new(LOOKS_MAX), next: Mutex::default() }
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

    pub(crate) fn next(&self, issue: IssueId) -> Option<Timestamp> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner).get(&issue).copied()
    }
}
