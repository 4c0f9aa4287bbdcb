//! Why something stands where it stands.

use serde::{Deserialize, Serialize};

use crate::run::State;

/// Why a task is not running, or what it came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhyObject {
    /// The issue.
    pub issue: String,
    /// Where its latest task stands.
    pub state: State,
    /// What keeps it there, the nearest cause first; never empty.
    pub because: Vec<String>,
    /// What to type to change it.
    pub next: Vec<String>,
}
