//! Checks of a commit.

/// The state of a check, which each kind of forge names differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckState {
    Queued,
    Running,
    Success,
    Failure,
    Skipped,
    /// A word that no client knows yet.
    Unknown,
}

/// A check. One with a log is a job of the server's own; one without is the report of another program.
#[derive(Clone, Debug)]
pub struct Check {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) state: CheckState,
    pub(super) log: Option<String>,
    /// Unix seconds.
    pub(super) updated: i64,
}

impl CheckState {
    pub(super) fn has_ended(self) -> bool {
        matches!(self, Self::Success | Self::Failure | Self::Skipped)
    }
}
