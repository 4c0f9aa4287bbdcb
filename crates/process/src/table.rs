//! The table of processes, from whichever source there is.

use std::io;

use nix::errno::Errno;
use nix::sys::signal::Signal;

#[cfg(target_os = "linux")]
use crate::linux;
use crate::process::Process;
use crate::{ps, unix};

/// Where the table comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    #[cfg(target_os = "linux")]
    Proc,
    Ps,
}

impl Source {
    pub(crate) fn best() -> Self {
        #[cfg(target_os = "linux")]
        if std::path::Path::new("/proc/self/stat").exists() {
            return Self::Proc;
        }
        Self::Ps
    }

    /// Whether adopted orphans can be told from the children we started: `ps` would be one of the latter.
    pub(crate) fn shows_orphans(self) -> bool {
        self != Self::Ps
    }

    pub(crate) async fn table(self) -> io::Result<Vec<Process>> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Proc => linux::table(),
            Self::Ps => ps::table().await,
        }
    }

    /// The same without waiting; `None` where only a child could tell.
    pub(crate) fn table_now(self) -> Option<io::Result<Vec<Process>>> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Proc => Some(linux::table()),
            Self::Ps => None,
        }
    }

    pub(crate) async fn marked(self, name: &str) -> io::Result<Vec<(i32, Vec<u8>)>> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Proc => linux::marked(name),
            Self::Ps => ps::marked(name).await,
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
