//! What every Unix offers to end processes, and what Linux has and the others lack. Used where Linux's means are missing.

#[cfg(not(target_os = "linux"))]
use std::io;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::process::Process;

/// There is no subreaper here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn adopt(_yes: bool) -> io::Result<()> {
    Ok(())
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn adopts() -> bool {
    false
}

/// Asked only for adopted orphans, of which there are none.
#[cfg(not(target_os = "linux"))]
pub(crate) fn children() -> io::Result<Vec<Pid>> {
    Ok(Vec::new())
}

/// Only `ps` shows one, which is a process itself.
#[cfg(not(target_os = "linux"))]
pub(crate) fn process(_pid: i32) -> Option<Process> {
    None
}

pub(crate) fn signal(process: &Process, signal: Signal) -> Result<(), Errno> {
    kill(Pid::from_raw(process.pid), signal)
}
