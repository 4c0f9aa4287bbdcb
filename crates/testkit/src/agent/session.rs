//! A session that this process has open.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::signal::Signal;
use super::store::StoredSession;
use super::update::MODELS;

#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: String,
    pub(super) cwd: PathBuf,
    /// As the client passed them when it opened the session.
    pub(super) mcp_servers: Value,
    loaded: AtomicBool,
    /// Held by the running turn. A prompt to a busy session waits, as in opencode.
    pub(super) turn: Mutex<()>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    model: String,
    prompts: Vec<String>,
    cost: f64,
    running: Vec<Arc<Signal>>,
}

impl Session {
    pub(super) fn open(id: &str, stored: &StoredSession, mcp_servers: Value) -> Self {
        let state =
            State { model: MODELS[0].to_owned(), prompts: stored.prompts(), cost: stored.cost(), running: Vec::new() };
        Self {
            id: id.to_owned(),
            cwd: PathBuf::from(&stored.cwd),
            mcp_servers,
            loaded: AtomicBool::new(false),
            turn: Mutex::default(),
            state: Mutex::new(state),
        }
    }

    pub(super) fn tools_are_loaded(&self) {
        self.loaded.store(true, Ordering::Relaxed);
    }

    /// Whether the tools of the MCP servers are known.
    pub(super) fn has_tools(&self) -> bool {
        self.loaded.load(Ordering::Relaxed)
    }

    /// Registers a turn before it runs, so that it sees every cancel after the prompt.
    pub(super) fn announce_turn(&self) -> Arc<Signal> {
        let signal = Arc::new(Signal::default());
        self.state().running.push(Arc::clone(&signal));
        signal
    }

    pub(super) fn end_turn(&self, signal: &Arc<Signal>) {
        self.state().running.retain(|running| !Arc::ptr_eq(running, signal));
    }

    /// Cancels all running and waiting turns.
    pub(super) fn cancel(&self) {
        for signal in &self.state().running {
            signal.cancel();
        }
    }

    /// Adds a prompt and returns the earlier ones.
    pub(super) fn add_prompt(&self, text: &str) -> Vec<String> {
        let mut state = self.state();
        let earlier = state.prompts.clone();
        state.prompts.push(text.to_owned());
        earlier
    }

    /// Adds to the session's cost and returns the sum, in US dollars.
    pub(super) fn add_cost(&self, cost: f64) -> f64 {
        let mut state = self.state();
        state.cost += cost;
        state.cost
    }

    pub(super) fn model(&self) -> String {
        self.state().model.clone()
    }

    pub(super) fn set_model(&self, model: &str) {
        model.clone_into(&mut self.state().model);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
