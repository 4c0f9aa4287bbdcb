//! The daemon at a glance.

use serde::{Deserialize, Serialize};

use crate::run::RunObject;

/// The daemon at a glance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusObject {
    /// The daemon's version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Its home.
    pub home: String,
    /// Since when it runs (RFC 3339).
    pub started_at: String,
    /// Runs that go on.
    pub running: u64,
    /// Runs that take one of the limited places.
    pub places_taken: u64,
    /// How many places there are.
    pub places: u64,
    /// Tasks that wait.
    pub queued: u64,
    /// The coordinator's latest task with its latest run, once it was asked something.
    #[serde(default)]
    pub coordinator: Option<RunObject>,
    /// How many messages wait for the coordinator.
    #[serde(default)]
    pub coordinator_queued: u64,
    /// How the processes of a run are ended for certain on this machine.
    pub containment: String,
    /// The mistakes in the settings, with file and line; what was set before them holds until they are corrected.
    #[serde(default)]
    pub settings_error: Option<String>,
    /// What is passed over in the settings, with file and line.
    #[serde(default)]
    pub settings_warnings: Vec<String>,
}
