//! The runners that are connected: the way to send one something, and how far each one's transcript is known.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kugetsu_api::run_spec::{Limits, RunnerControl};
use kugetsu_domain::ids::RunId;
use tokio::sync::{mpsc, watch};

/// Messages that may wait for a runner that does not read: a few cancels and limits, never more.
const INBOX: usize = 16;

/// The connected runners. Clones share one list.
#[derive(Clone, Debug, Default)]
pub struct RunnerConnections(Arc<Mutex<HashMap<RunId, Entry>>>);

#[derive(Debug)]
struct Entry {
    inbox: Option<mpsc::Sender<RunnerControl>>,
    /// Length of the transcript in bytes, as the runner reported it.
    transcript: watch::Sender<u64>,
    /// Whether the run was canceled.
    canceled: watch::Sender<bool>,
    /// Whether its agent gets no time to end its turn.
    is_stopped: bool,
}

impl Default for Entry {
    fn default() -> Self {
        Self { inbox: None, transcript: watch::Sender::new(0), canceled: watch::Sender::new(false), is_stopped: false }
    }
}

impl RunnerConnections {
    /// Registers a runner and returns the messages for it. A later connection of the same run replaces an earlier one.
    pub fn connect(&self, run: RunId) -> mpsc::Receiver<RunnerControl> {
        let (sender, inbox) = mpsc::channel(INBOX);
        self.entries().entry(run).or_default().inbox = Some(sender);
        inbox
    }

    /// Sends a runner a message. One that is not connected learns everything that matters when it connects.
    pub fn send(&self, run: RunId, message: RunnerControl) {
        if let Some(inbox) = self.entries().get(&run).and_then(|entry| entry.inbox.as_ref())
            && inbox.try_send(message).is_err()
        {
            tracing::debug!(%run, "the runner does not read its messages; it catches up when it connects again");
        }
    }

    /// Asks a runner to end its run. One that is not connected reads it from the state when it connects.
    pub fn cancel(&self, run: RunId) {
        if let Some(entry) = self.entries().get(&run) {
            entry.canceled.send_replace(true);
        }
        self.send(run, RunnerControl::Cancel { at_once: false });
    }

    /// Makes a runner end its agent at once, also one that connects later.
    pub fn stop(&self, run: RunId) {
        self.entries().entry(run).or_default().is_stopped = true;
        self.send(run, RunnerControl::Cancel { at_once: true });
    }

    /// Whether its agent has to end at once.
    pub(crate) fn is_stopped(&self, run: RunId) -> bool {
        self.entries().get(&run).is_some_and(|entry| entry.is_stopped)
    }

    /// Whether a runner listens.
    pub(crate) fn is_connected(&self, run: RunId) -> bool {
        let entries = self.entries();
        entries.get(&run).and_then(|entry| entry.inbox.as_ref()).is_some_and(|inbox| !inbox.is_closed())
    }

    /// Follows whether the run is canceled from now on. The channel closes when the run is over.
    pub fn cancellation(&self, run: RunId) -> watch::Receiver<bool> {
        self.entries().entry(run).or_default().canceled.subscribe()
    }

    /// Sends every runner the limits.
    pub fn send_limits(&self, limits: Limits) {
        let runs: Vec<RunId> = self.entries().keys().copied().collect();
        for run in runs {
            self.send(run, RunnerControl::Limits(limits));
        }
    }

    /// Records the length of a run's transcript.
    pub fn transcript_grew(&self, run: RunId, length: u64) {
        self.entries().entry(run).or_default().transcript.send_replace(length);
    }

    /// The same, where the run may be over.
    pub fn transcript_grew_if_followed(&self, run: RunId, length: u64) {
        if let Some(entry) = self.entries().get(&run) {
            entry.transcript.send_replace(length);
        }
    }

    /// Follows the length of a run's transcript. The channel closes when the run is over.
    pub fn follow_transcript(&self, run: RunId) -> watch::Receiver<u64> {
        self.entries().entry(run).or_default().transcript.subscribe()
    }

    /// The run is over: everything that follows it ends.
    pub fn remove(&self, run: RunId) {
        self.entries().remove(&run);
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<RunId, Entry>> {
        // Every change is one call, so a panic cannot have left one half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
