//! Reports of webhooks that wait to be looked into.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use kugetsu_domain::reference::ServerBase;
use kugetsu_forge::webhook::notice::Notice;
use tokio::sync::Notify;

/// Subjects that wait. Beyond it, the server has to send the report again.
const WAITING_MAX: usize = 1000;

/// Reports that wait. Clones share them. A subject that is reported again while it waits, waits once.
#[derive(Clone, Default)]
pub(crate) struct Notices(Arc<Queue>);

#[derive(Default)]
struct Queue {
    waiting: Mutex<VecDeque<Reported>>,
    changed: Notify,
}

/// A subject, and the server that reported it.
pub(crate) type Reported = (ServerBase, Notice);

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notices")
    }
}

impl Notices {
    /// Returns `false` if too many wait.
    pub(crate) fn send(&self, server: ServerBase, notice: Notice) -> bool {
        let reported = (server, notice);
        let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.contains(&reported) {
            return true;
        }
        if waiting.len() >= WAITING_MAX {
            return false;
        }
        waiting.push_back(reported);
        drop(waiting);
        self.0.changed.notify_one();
        true
    }

    /// Takes the first that is not among `others`: two looks at one subject at once would only repeat each other.
    pub(crate) fn take_except(&self, others: &HashSet<Reported>) -> Option<Reported> {
        let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let at = waiting.iter().position(|reported| !others.contains(reported))?;
        waiting.remove(at)
    }

    /// Waits until one was added, or returns at once if one was since the last call.
    pub(crate) async fn changed(&self) {
        self.0.changed.notified().await;
    }
}
