//! By what means a tree of processes is held together, so that all of it can be ended.

use std::fmt;

use crate::cgroup::Cgroup;
use crate::orphans;

/// From the weakest to the strongest. The weaker ones are used beside a stronger one, never instead of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Means {
    /// Process groups, parents and the marker, as one listing of processes after the other shows them. A process that
    /// left its group, lost its parent and cleared its environment is not found.
    Groups,
    /// Orphans become our children: the kernel says when none is left. Linux.
    Subreaper,
    /// A cgroup of the tree's own, which no process leaves by forking and which is killed as a whole. Linux, where
    /// this process may make a cgroup below its own.
    CgroupV2,
}

impl fmt::Display for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Groups => "process groups",
            Self::Subreaper => "subreaper",
            Self::CgroupV2 => "cgroup v2",
        })
    }
}

/// The strongest means there are here, found by trying them: makes a cgroup, starts a shell in it, removes it.
/// Blocks for some milliseconds.
pub fn means() -> Means {
    if Cgroup::can_be_had() {
        Means::CgroupV2
    } else if orphans::can_be_adopted() {
        Means::Subreaper
    } else {
        Means::Groups
    }
}
