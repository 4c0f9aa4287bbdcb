//! Reports of webhooks: those that wait to be looked into, and when a pull request was reported the last time.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use kugetsu_domain::reference::{RepoRef, ServerBase};
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

/// How long the report of a pull request is remembered: longer than the time between two polls.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(1);

/// When pull requests were reported the last time, since the daemon started.
#[derive(Debug, Default)]
pub(crate) struct ReportTimes(Mutex<HashMap<(RepoRef, u64), Timestamp>>);

impl ReportTimes {
    pub(crate) fn set(&self, repo: &RepoRef, pull_request: u64, now: Timestamp) {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        times.retain(|_, at| now.duration_since(*at) < REMEMBERED);
        times.insert((repo.clone(), pull_request), now);
    }

    pub(crate) fn is_later(&self, repo: &RepoRef, pull_request: u64, than: Timestamp) -> bool {
        let times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        times.get(&(repo.clone(), pull_request)).is_some_and(|at| *at > than)
    }
}
