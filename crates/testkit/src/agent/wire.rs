//! Writes JSON-RPC messages to stdout, one per line.

use std::collections::HashMap;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::signal::Signal;

/// The notification of a session update, as a line.
pub(super) fn update_line(session: &str, update: &Value) -> String {
    let params = json!({"sessionId": session, "update": update});
    json!({"jsonrpc": "2.0", "method": "session/update", "params": params}).to_string()
}

/// Writes messages and tracks the requests that the client has not answered.
#[derive(Debug, Default)]
pub(super) struct Wire {
    next_id: AtomicU64,
    pending: Mutex<HashMap<u64, Arc<Signal>>>,
}

impl Wire {
    /// Writes one line unchanged. Errors are ignored: the end of stdin shows that the client is gone.
    pub(super) fn line(&self, text: &str) {
        let mut stdout = std::io::stdout().lock();
        let _gone = stdout.write_all(format!("{text}\n").as_bytes()).and_then(|()| stdout.flush());
    }

    pub(super) fn result(&self, id: &Value, result: &Value) {
        self.line(&json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string());
    }

    pub(super) fn error(&self, id: &Value, error: &Value) {
        self.line(&json!({"jsonrpc": "2.0", "id": id, "error": error}).to_string());
    }

    pub(super) fn update(&self, session: &str, update: &Value) {
        self.line(&update_line(session, update));
    }

    /// Sends a request whose answer is delivered to `signal`; returns the request's id.
    pub(super) fn request(&self, method: &str, params: &Value, signal: &Arc<Signal>) -> u64 {
        let id = self.fresh_id();
        self.pending().insert(id, Arc::clone(signal));
        self.line(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string());
        id
    }

    /// A new id, for a request or for something else that is awaited with a [`Signal`].
    pub(super) fn fresh_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Delivers a response of the client to the turn that sent the request.
    pub(super) fn handle_response(&self, message: &Value) {
        let Some(id) = message["id"].as_u64() else { return };
        if let Some(signal) = self.pending().remove(&id) {
            signal.answer(id, message["result"].clone());
        }
    }

    /// Whether a request is unanswered.
    pub(super) fn is_waiting(&self) -> bool {
        !self.pending().is_empty()
    }

    fn pending(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<Signal>>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
