//! Pauses and other holds of queued tasks, and stops of agents.

use serde::{Deserialize, Serialize};

/// The scope of a pause.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PauseRequest {
    /// The repository in any accepted form; none for everything.
    #[serde(default)]
    pub repo: Option<String>,
    /// The agent whose tasks shall not wait any longer; only of a resume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The caller's absolute directory.
    pub cwd: String,
}

/// The state after a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PauseObject {
    /// The whole name of the repository; none for everything.
    pub repo: Option<String>,
    /// The agent that was resumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    pub paused: bool,
    /// Whether the request changed it.
    pub changed: bool,
    /// When the pause began that lasts, or that the request ended; RFC 3339, in milliseconds.
    pub since: Option<String>,
    /// Number of runs in progress.
    pub running: u64,
    /// Number of queued tasks.
    pub queued: u64,
    /// The holds of queued tasks afterwards.
    pub holds: Vec<HoldObject>,
}

/// Something that keeps queued tasks from starting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldObject {
    /// `pause`, `quiet_hours`, `memory`, `disk`, `agent` or `model_limit`, among others of later versions.
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
    /// A command that the user can type.
    #[serde(default)]
    pub hint: Option<String>,
}

/// Something that could not be measured. Agents start as if there were enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnmeasuredObject {
    /// The setting with the floor.
    pub setting: String,
    pub error: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopRequest {
    /// The issues in any accepted form.
    #[serde(default)]
    pub references: Vec<String>,
    /// Whether everything is paused and all agents are ended.
    #[serde(default)]
    pub all: bool,
    /// The caller's absolute directory.
    pub cwd: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoppedObject {
    /// The short references of the issues whose runs were ended.
    pub issues: Vec<String>,
    /// Why the agents of other issues were not ended.
    #[serde(default)]
    pub refused: Vec<RefusedStop>,
    /// Processes that could not be ended.
    #[serde(default)]
    pub survivors: Vec<i32>,
    /// Warnings for people.
    #[serde(default)]
    pub notes: Vec<String>,
    /// The pause of everything, if all were ended.
    #[serde(default)]
    pub pause: Option<PauseObject>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedStop {
    /// As typed.
    pub reference: String,
    /// For people.
    pub reason: String,
    #[serde(default)]
    pub hint: Option<String>,
}
