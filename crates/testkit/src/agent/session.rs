//! A session that is open in this process.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::signal::Signal;
use super::store::Kept;
use super::update::MODELS;

/// An open session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: String,
    pub(super) cwd: PathBuf,
    /// What the client gave when it opened the session.
    pub(super) mcp_servers: Value,
    /// Held by the turn that runs: a prompt to a busy session waits for its turn, as opencode's does.
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
    /// Opens a session as it was kept, or a new one that has no history.
    pub(super) fn open(id: &str, kept: &Kept, mcp_servers: Value) -> Self {
        let state =
            State { model: MODELS[0].to_owned(), prompts: kept.prompts(), cost: kept.cost(), running: Vec::new() };
        Self {
            id: id.to_owned(),
            cwd: PathBuf::from(&kept.cwd),
            mcp_servers,
            turn: Mutex::default(),
            state: Mutex::new(state),
        }
    }

    /// Announces a turn, before it runs, so that no cancel after the prompt is missed.
    pub(super) fn announce_turn(&self) -> Arc<Signal> {
        let signal = Arc::new(Signal::default());
        self.state().running.push(Arc::clone(&signal));
        signal
    }

    /// Ends a turn that was announced.
    pub(super) fn end_turn(&self, signal: &Arc<Signal>) {
        self.state().running.retain(|running| !Arc::ptr_eq(running, signal));
    }

    /// Cancels every turn that runs or waits.
    pub(super) fn cancel(&self) {
        for signal in &self.state().running {
            signal.cancel();
        }
    }

    /// Notes a prompt; returns the ones before it.
    pub(super) fn note_prompt(&self, text: &str) -> Vec<String> {
        let mut state = self.state();
        let earlier = state.prompts.clone();
        state.prompts.push(text.to_owned());
        earlier
    }

    /// Adds to the session's cost; returns all of it, in US dollars.
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
