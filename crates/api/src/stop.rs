//! Ending agents at once.

use serde::{Deserialize, Serialize};

use crate::pause::PauseObject;

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
