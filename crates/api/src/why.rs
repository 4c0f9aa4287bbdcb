//! Why a task is in its state.

use kugetsu_domain::task::TaskState;
use serde::{Deserialize, Serialize};

use crate::names;
use crate::watch::{ConditionObject, FollowObject};

/// Why an issue's latest task is not running, or how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhyObject {
    /// The issue's short reference.
    pub issue: String,
    /// None for an issue of a watched repository that has no task yet.
    #[serde(with = "names::optional")]
    pub state: Option<TaskState>,
    /// Whether the issue was destroyed, after the task had ended.
    #[serde(default)]
    pub destroyed: bool,
    /// The reasons, most direct first; never empty.
    pub because: Vec<String>,
    /// The hint of the most direct reason.
    #[serde(default)]
    pub hint: Option<String>,
    /// Commands that the user can type.
    pub next: Vec<String>,
    /// The name of the repository's watch.
    #[serde(default)]
    pub watch: Option<String>,
    /// The conditions of the watch; empty without one.
    #[serde(default)]
    pub conditions: Vec<ConditionObject>,
    /// The pull request of an issue that the watch handed over.
    #[serde(default)]
    pub follow: Option<FollowObject>,
}
