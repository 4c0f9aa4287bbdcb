//! A process, and the ways to end one that every Unix offers. Systems other than Linux have no subreaper.

#[cfg(not(target_os = "linux"))]
use std::io;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// One row of the process table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) parent: i32,
    pub(crate) group: i32,
    /// Start time in clock ticks since boot, which tells the process from a later one with the same pid. 0 if unknown.
    pub(crate) born: u64,
    /// A zombie: ended, but not reaped.
    pub(crate) dead: bool,
}

impl Process {
    /// Identifies the process even after its pid is reused, where the start time is known.
    pub(crate) fn id(&self) -> (i32, u64) {
        (self.pid, self.born)
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn adopt(_enable: bool) -> io::Result<()> {
    Ok(())
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn adopts() -> bool {
    false
}

/// Returns nothing: it is only called to find adopted orphans, and there are none without a subreaper.
#[cfg(not(target_os = "linux"))]
pub(crate) fn children() -> io::Result<Vec<Pid>> {
    Ok(Vec::new())
}

/// Not known on this system.
#[cfg(not(target_os = "linux"))]
pub(crate) fn listening_ports(_group: i32) -> io::Result<Vec<u16>> {
    Ok(Vec::new())
}

pub(crate) fn signal(process: &Process, signal: Signal) -> Result<(), Errno> {
    kill(Pid::from_raw(process.pid), signal)
}
