//! Events as they are streamed.

use serde::{Deserialize, Serialize};

use crate::endpoint::flag;

/// Which events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsQuery {
    /// The events of this issue only.
    pub reference: Option<String>,
    #[serde(default)]
    pub cwd: String,
    /// Only those with a greater number.
    #[serde(default)]
    pub after: i64,
    /// Only those from this time on (RFC 3339).
    pub since: Option<String>,
    /// Whether the stream continues with events as they are stored.
    #[serde(default, deserialize_with = "flag")]
    pub follow: bool,
}

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
