//! The runners that are connected: where a word for one of them goes, and how far each one's report has come.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kugetsu_api::run_spec::{Limits, RunnerControl};
use kugetsu_domain::ids::RunId;
use tokio::sync::{mpsc, watch};

/// How many words may wait for a runner that does not read: a few stops and limits, never more.
const WORDS: usize = 16;

/// The connected runners. Clones share one list.
#[derive(Clone, Debug, Default)]
pub struct Runners(Arc<Mutex<HashMap<RunId, Entry>>>);

#[derive(Debug)]
struct Entry {
    words: Option<mpsc::Sender<RunnerControl>>,
    /// Bytes of the run's records that have been reported.
    reported: watch::Sender<u64>,
}

impl Default for Entry {
    fn default() -> Self {
        Self { words: None, reported: watch::Sender::new(0) }
    }
}

impl Runners {
    /// A runner has connected: what arrives here is for it. A second connection takes the first one's place.
    pub fn connect(&self, run: RunId) -> mpsc::Receiver<RunnerControl> {
        let (words, inbox) = mpsc::channel(WORDS);
        self.entries().entry(run).or_default().words = Some(words);
        inbox
    }

    /// Tells a runner something. One that is not connected learns what matters when it connects.
    pub fn tell(&self, run: RunId, word: RunnerControl) {
        if let Some(words) = self.entries().get(&run).and_then(|entry| entry.words.as_ref())
            && words.try_send(word).is_err()
        {
            tracing::debug!(%run, "the runner is not listening; it is told when it connects again");
        }
    }

    /// Tells every runner the limits.
    pub fn tell_limits(&self, limits: Limits) {
        let runs: Vec<RunId> = self.entries().keys().copied().collect();
        for run in runs {
            self.tell(run, RunnerControl::Limits(limits));
        }
    }

    /// The run's records have been reported up to this byte.
    pub fn reported(&self, run: RunId, offset: u64) {
        self.entries().entry(run).or_default().reported.send_replace(offset);
    }

    /// Follows how far the run's records have been reported. It ends when the run is over.
    pub fn follow(&self, run: RunId) -> watch::Receiver<u64> {
        self.entries().entry(run).or_default().reported.subscribe()
    }

    /// The run is over; whoever follows it learns so.
    pub fn forget(&self, run: RunId) {
        self.entries().remove(&run);
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<RunId, Entry>> {
        // A panic while the list was held cannot have left it half changed: every change is one call.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
