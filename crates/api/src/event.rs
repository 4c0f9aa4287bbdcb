//! Streamed events.

use serde::{Deserialize, Serialize};

use crate::endpoint::flag;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsQuery {
    /// Selects the events of this issue.
    pub reference: Option<String>,
    #[serde(default)]
    pub cwd: String,
    /// Selects events with a greater number.
    #[serde(default)]
    pub after: i64,
    /// Selects events from this time on (RFC 3339).
    pub since: Option<String>,
    /// Whether the stream continues with new events.
    #[serde(default, deserialize_with = "flag")]
    pub follow: bool,
}

/// A stored fact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventObject {
    /// Its number, which only grows.
    pub seq: i64,
    /// RFC 3339, in milliseconds; see `rfc3339` of the domain.
    pub at: String,
    /// The issue's ID.
    pub issue: String,
    pub task: Option<String>,
    pub run: Option<String>,
    /// The event's name.
    pub kind: String,
    /// The event's further fields.
    pub data: serde_json::Value,
}
