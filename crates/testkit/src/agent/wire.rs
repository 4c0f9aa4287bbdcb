//! The agent's side of the pipes: JSON-RPC messages, one a line, whole lines at a time.

use std::collections::HashMap;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::signal::Signal;

/// The line that tells an update of a session.
pub(super) fn update_line(session: &str, update: &Value) -> String {
    let params = json!({"sessionId": session, "update": update});
    json!({"jsonrpc": "2.0", "method": "session/update", "params": params}).to_string()
}

/// Writes messages and knows which of its own requests are unanswered.
#[derive(Debug, Default)]
pub(super) struct Wire {
    next_id: AtomicU64,
    asked: Mutex<HashMap<u64, Arc<Signal>>>,
}

impl Wire {
    /// Writes one line as it is. A client that has gone is noticed by the end of stdin, not here.
    pub(super) fn line(&self, text: &str) {
        let mut stdout = std::io::stdout().lock();
        let _gone = stdout.write_all(format!("{text}\n").as_bytes()).and_then(|()| stdout.flush());
    }

    /// Answers a request with its result.
    pub(super) fn result(&self, id: &Value, result: &Value) {
        self.line(&json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string());
    }

    /// Answers a request with an error.
    pub(super) fn error(&self, id: &Value, error: &Value) {
        self.line(&json!({"jsonrpc": "2.0", "id": id, "error": error}).to_string());
    }

    /// Sends an update of a session.
    pub(super) fn update(&self, session: &str, update: &Value) {
        self.line(&update_line(session, update));
    }

    /// Sends a request whose answer comes to `signal`; returns the request's id.
    pub(super) fn request(&self, method: &str, params: &Value, signal: &Arc<Signal>) -> u64 {
        let id = self.fresh_id();
        self.asked().insert(id, Arc::clone(signal));
        self.line(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string());
        id
    }

    /// A number that no request has, for what is awaited through a [`Signal`] as well.
    pub(super) fn fresh_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Brings an answer of the client to whoever asked.
    pub(super) fn answered(&self, message: &Value) {
        let Some(id) = message["id"].as_u64() else { return };
        if let Some(signal) = self.asked().remove(&id) {
            signal.answer(id, message["result"].clone());
        }
    }

    /// Whether the client owes an answer.
    pub(super) fn is_waiting(&self) -> bool {
        !self.asked().is_empty()
    }

    fn asked(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<Signal>>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
