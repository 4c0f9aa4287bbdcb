//! An answer before it is sent.

use serde_json::{Value, json};

/// Status, headers and JSON body.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Value,
}

impl Reply {
    pub(super) fn ok(body: Value) -> Self {
        Self { status: 200, headers: Vec::new(), body }
    }

    /// An error in the form that all flavors share.
    pub(super) fn error(status: u16, message: &str) -> Self {
        Self { status, headers: Vec::new(), body: json!({ "message": message }) }
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}
