//! The state of the daemon.

use serde::{Deserialize, Serialize};

use crate::gc::StorageObject;
use crate::pause::{HoldObject, UnmeasuredObject};
use crate::run::RunObject;
use crate::watch::StallObject;

/// Whether the daemon works, cheap to find out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthObject {
    pub version: String,
    /// See [`PROTOCOL`](crate::endpoints::PROTOCOL).
    pub protocol: u32,
    pub pid: u32,
    /// Number of requests in progress that change something.
    pub requests: u64,
    /// Whether a service manager started the daemon.
    pub managed: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusObject {
    pub version: String,
    pub pid: u32,
    pub home: String,
    /// RFC 3339, in milliseconds; see `rfc3339` of the domain.
    pub started_at: String,
    /// Number of runs in progress.
    pub running: u64,
    /// Number of slots in use.
    pub places_taken: u64,
    /// Number of slots.
    pub places: u64,
    /// Number of queued tasks.
    pub queued: u64,
    /// The coordinator's latest task with its latest run; none before the first.
    #[serde(default)]
    pub coordinator: Option<RunObject>,
    /// Number of queued messages to the coordinator.
    #[serde(default)]
    pub coordinator_queued: u64,
    /// Number of things in the home that the database does not know, moved into the directory `quarantine`.
    #[serde(default)]
    pub quarantined: u64,
    /// The agent for tasks that name none. Empty from daemons of earlier versions.
    #[serde(default)]
    pub default_agent: String,
    /// The size of the home; none until it was first measured.
    #[serde(default)]
    pub storage: Option<StorageObject>,
    /// The means by which the processes of a run are ended on this machine.
    pub containment: String,
    /// How agents of issues are sandboxed, or why they are not. Empty from daemons of earlier versions.
    #[serde(default)]
    pub sandbox: String,
    /// Set while work could start and nothing was started.
    #[serde(default)]
    pub stall: Option<StallObject>,
    /// The holds of queued tasks.
    #[serde(default)]
    pub holds: Vec<HoldObject>,
    /// Floors that could not be compared with a measurement.
    #[serde(default)]
    pub unmeasured: Vec<UnmeasuredObject>,
    /// Mistakes in the settings, with file and line. The previous values stay in effect.
    #[serde(default)]
    pub settings_error: Option<String>,
    /// Ignored settings, with file and line.
    #[serde(default)]
    pub settings_warnings: Vec<String>,
}
