//! Events as they are streamed.

use serde::{Deserialize, Serialize};

/// A stored fact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventObject {
    /// Its number.
    pub seq: i64,
    /// When (RFC 3339).
    pub at: String,
    /// The issue's identifier.
    pub issue: String,
    /// The task's identifier.
    pub task: Option<String>,
    /// The run's identifier.
    pub run: Option<String>,
    /// The event's name.
    pub kind: String,
    /// What it says besides.
    pub data: serde_json::Value,
}
