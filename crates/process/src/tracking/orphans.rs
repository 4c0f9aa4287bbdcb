//! Orphaned descendants, which become children of this process instead of init's, and have to be reaped here.

use std::io;
use std::time::Duration;

use tokio::signal::unix::Signal as SignalStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::child::registry;
use crate::os;

/// Interval for reaping without a SIGCHLD, in case the signal is blocked or a listing missed a child.
const INTERVAL: Duration = Duration::from_secs(5);

/// Makes every orphaned descendant a child of this process from now on. Call it once, before any child is started, and only
/// in a process that starts children through this crate alone: other children would be taken for orphans.
///
/// Does nothing on systems other than Linux; [`Tracking::detect`](super::Tracking::detect) shows what works.
pub fn adopt_orphans() -> io::Result<()> {
    os::adopt(true)
}

pub(crate) fn are_adopted() -> bool {
    os::adopts()
}

/// Tries it out, and restores the previous state.
pub(crate) fn can_be_adopted() -> bool {
    let before = os::adopts();
    if os::adopt(true).is_err() {
        return false;
    }
    let can = os::adopts();
    if !before && let Err(error) = os::adopt(false) {
        tracing::debug!(%error, "could not stop adopting orphans after a trial");
    }
    can
}

/// Reaps adopted orphans as they end, until it is dropped. Without it, the zombies of a long run would fill the process
/// table.
pub(crate) struct Reaper(JoinHandle<()>);

impl Reaper {
    /// `child_exits` must have been created before the first child was started.
    pub(crate) fn start(mut child_exits: SignalStream) -> Self {
        Self(tokio::spawn(async move {
            loop {
                registry::lock().reap_orphans();
                // A timeout and a signal lead to the same: the loop reaps again.
                let _ = timeout(INTERVAL, child_exits.recv()).await;
            }
        }))
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        self.0.abort();
    }
}
