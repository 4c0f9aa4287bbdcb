//! Why a task is in its state.

use kugetsu_domain::task::TaskState;
use serde::{Deserialize, Serialize};

use crate::names;

/// Why an issue's latest task is not running, or how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhyObject {
    /// The issue's short reference.
    pub issue: String,
    #[serde(with = "names")]
    pub state: TaskState,
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
}
