//! An answer before it is sent.

use serde_json::{Value, json};

/// Status, headers and body.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Value,
    /// Sent instead of JSON.
    pub(super) text: Option<String>,
    /// The kind of change, if the request succeeded.
    pub(super) change: Option<&'static str>,
}

impl Reply {
    pub(super) fn new(status: u16, body: Value) -> Self {
        Self { status, headers: Vec::new(), body, text: None, change: None }
    }

    pub(super) fn ok(body: Value) -> Self {
        Self::new(200, body)
    }

    /// A success without a body.
    pub(super) fn empty() -> Self {
        Self { text: Some(String::new()), ..Self::new(204, Value::Null) }
    }

    pub(super) fn text(text: &str) -> Self {
        Self { text: Some(text.to_owned()), ..Self::new(200, Value::Null) }
    }

    /// An error in the form that all flavors share.
    pub(super) fn error(status: u16, message: &str) -> Self {
        Self::new(status, json!({ "message": message }))
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Names the change for [`changes`](super::server::ForgeServer::changes).
    pub(super) fn changed(self, kind: &'static str) -> Self {
        Self { change: Some(kind), ..self }
    }
}
