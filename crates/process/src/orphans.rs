//! Orphans of our descendants, which come to us instead of going to init, and are ours to reap.

use std::io;
use std::time::Duration;

use tokio::signal::unix::Signal as Signals;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::child_registry;
#[cfg(target_os = "linux")]
use crate::linux as os;
#[cfg(not(target_os = "linux"))]
use crate::unix as os;

/// Heals a SIGCHLD that never comes, and a listing that missed a child.
const HEAL: Duration = Duration::from_secs(5);

/// From now on every orphan among this process's descendants becomes its child. To be called once, before anything is
/// started, by a process that starts children only by way of this crate: other children would be taken for orphans.
///
/// Linux. Elsewhere there is no such thing, and nothing is done; [`crate::tracking()`] tells.
///
/// # Errors
/// The kernel refuses.
pub fn adopt_orphans() -> io::Result<()> {
    os::adopt(true)
}

pub(crate) fn are_adopted() -> bool {
    os::adopts()
}

/// Tries it, and puts things back.
pub(crate) fn can_be_adopted() -> bool {
    let before = os::adopts();
    if os::adopt(true).is_err() {
        return false;
    }
    let can = os::adopts();
    if !before && let Err(error) = os::adopt(false) {
        tracing::debug!(%error, "could not stop adopting orphans after trying it");
    }
    can
}

/// Reaps adopted orphans as they end: in a run of ten hours they would fill the process table. Stopped when dropped.
pub(crate) struct Reaping(JoinHandle<()>);

impl Reaping {
    /// `ends` must have been listened to since before the first child was started.
    pub(crate) fn start(mut ends: Signals) -> Self {
        Self(tokio::spawn(async move {
            loop {
                child_registry::lock().reap_orphans();
                // Time may be out, or a signal may have come: the next look tells.
                let _ = timeout(HEAL, ends.recv()).await;
            }
        }))
    }
}

impl Drop for Reaping {
    fn drop(&mut self) {
        self.0.abort();
    }
}
