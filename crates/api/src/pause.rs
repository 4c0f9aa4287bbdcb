//! Pauses, and what else keeps queued tasks from starting.

use serde::{Deserialize, Serialize};

/// What to pause or to resume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PauseRequest {
    /// The repository in any accepted form; none for everything.
    #[serde(default)]
    pub repo: Option<String>,
    /// The caller's absolute directory.
    pub cwd: String,
}

/// The state after a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PauseObject {
    /// The whole name of the repository; none for everything.
    pub repo: Option<String>,
    pub paused: bool,
    /// Whether the request changed it.
    pub changed: bool,
    /// When the pause began that lasts, or that the request ended; RFC 3339, in milliseconds.
    pub since: Option<String>,
    /// Number of runs in progress.
    pub running: u64,
    /// Number of queued tasks.
    pub queued: u64,
    /// What keeps queued tasks from starting now.
    pub holds: Vec<HoldObject>,
}

/// Something that keeps queued tasks from starting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldObject {
    /// `pause` or `quiet_hours`, among others of later versions.
    pub kind: String,
    /// The whole name of the only repository that it concerns.
    #[serde(default)]
    pub repo: Option<String>,
    /// RFC 3339, in milliseconds.
    pub since: String,
    /// When it ends; none if something has to happen before.
    #[serde(default)]
    pub until: Option<String>,
    /// For people.
    pub reason: String,
    /// What to type.
    #[serde(default)]
    pub hint: Option<String>,
}
