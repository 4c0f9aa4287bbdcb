//! The process table, from `/proc` or from the program `ps`.

use std::ffi::OsString;
use std::io;

use nix::errno::Errno;
use nix::sys::signal::Signal;

use super::ps;
use crate::os::{Process, Usage, unix};
#[cfg(target_os = "linux")]
use crate::os::{linux, usage};

/// Where the table is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProcessTable {
    #[cfg(target_os = "linux")]
    Proc,
    Ps,
}

impl ProcessTable {
    pub(crate) fn best() -> Self {
        #[cfg(target_os = "linux")]
        if std::path::Path::new("/proc/self/stat").exists() {
            return Self::Proc;
        }
        Self::Ps
    }

    /// Whether adopted orphans can be distinguished from children that this process started. With `ps` they cannot: `ps` itself is
    /// such a child while it lists them.
    pub(crate) fn shows_orphans(self) -> bool {
        self != Self::Ps
    }

    /// Lists all visible processes.
    pub(crate) async fn list(self) -> io::Result<Vec<Process>> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Proc => linux::table(),
            Self::Ps => ps::table().await,
        }
    }

    /// Lists all visible processes without waiting. Returns `None` if that takes a child process.
    pub(crate) fn list_now(self) -> Option<io::Result<Vec<Process>>> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Proc => Some(linux::table()),
            Self::Ps => None,
        }
    }

    /// Lists the pids of processes whose environment has the variable `name`, with its value.
    pub(crate) async fn marked(self, name: &str) -> io::Result<Vec<(i32, Vec<u8>)>> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Proc => linux::marked(name),
            Self::Ps => ps::marked(name).await,
        }
    }

    /// Lists the pids of processes that were started with these arguments in a row, anywhere among theirs.
    pub(crate) async fn with_arguments(self, arguments: &[OsString]) -> io::Result<Vec<i32>> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Proc => linux::with_arguments(arguments),
            Self::Ps => ps::with_arguments(arguments).await,
        }
    }

    /// Lists these processes and what they have started, and measures them. Memory that they share counts for each.
    pub(crate) async fn usage(self, roots: &[i32]) -> io::Result<(Vec<i32>, Usage)> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Proc => {
                let pids = usage::descendants(roots);
                let at_most = usage::at_most(&pids);
                Ok((pids, at_most))
            }
            Self::Ps => ps::usage(roots).await,
        }
    }

    /// Bytes of files in memory that only these processes see.
    pub(crate) fn private_files(self, pids: &[i32]) -> u64 {
        match self {
            #[cfg(target_os = "linux")]
            Self::Proc => usage::private_files(pids),
            Self::Ps => 0,
        }
    }

    /// Bytes that these processes use, where that can be found out more exactly than by [`usage`](Self::usage). Slow.
    pub(crate) fn exact_memory(self, pids: &[i32]) -> Option<u64> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Proc => Some(usage::memory(pids)),
            Self::Ps => None,
        }
    }

    pub(crate) fn signal(self, process: &Process, signal: Signal) -> Result<(), Errno> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Proc => linux::signal(process, signal),
            Self::Ps => unix::signal(process, signal),
        }
    }
}
