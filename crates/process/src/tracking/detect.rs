//! How the processes of a tree are kept track of, so that all of them can be ended.

use std::fmt;

use super::cgroup::Cgroup;
use super::orphans;

/// Ordered from the weakest to the strongest. A stronger one is used together with the weaker ones, not instead of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tracking {
    /// Process groups, parents and the marker, as successive listings of all processes show them. A process that left
    /// its group, lost its parent and cleared its environment is not found.
    Groups,
    /// Orphans become children of this process, so the kernel knows when none is left. Linux.
    Subreaper,
    /// The tree has a cgroup of its own, which no process leaves by forking and which is killed as a whole. Linux, if
    /// this process may create a cgroup below its own.
    CgroupV2,
}

impl Tracking {
    /// Returns the strongest tracking that works here. Tries it out: creates a cgroup, starts a shell in it and removes
    /// it. Blocks for some milliseconds.
    pub fn detect() -> Self {
        if Cgroup::is_available() {
            Self::CgroupV2
        } else if orphans::can_be_adopted() {
            Self::Subreaper
        } else {
            Self::Groups
        }
    }
}

impl fmt::Display for Tracking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Groups => "process groups",
            Self::Subreaper => "subreaper",
            Self::CgroupV2 => "cgroup v2",
        })
    }
}
