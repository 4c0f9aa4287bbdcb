//! A process as a table of processes shows it.

/// One process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) parent: i32,
    pub(crate) group: i32,
    /// Tells it from a later process with the same number; 0 where it is not known.
    pub(crate) born: u64,
    /// Ended, and only waits to be reaped.
    pub(crate) dead: bool,
}

impl Process {
    /// What no other process ever has.
    pub(crate) fn id(&self) -> (i32, u64) {
        (self.pid, self.born)
    }
}
