//! Measures what a tree uses, and notices when it reaches a limit.

use std::io;

use nix::unistd::Pid;

use super::cgroup::Cgroup;
use super::controllers::{Counters, TreeLimits};
use super::table::ProcessTable;
use crate::child::registry;

/// A limit that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excess {
    /// In bytes.
    Memory {
        used: u64,
        limit: u64,
    },
    Tasks {
        used: u64,
        limit: u64,
    },
}

/// Measures a running tree. It does not end when the tree ends.
#[derive(Debug)]
pub struct Meter {
    limits: TreeLimits,
    cgroup: Option<Cgroup>,
    root: Pid,
    /// Whether children of this process that it did not start belong to the tree.
    orphans: bool,
    table: ProcessTable,
    seen: Counters,
}

/// The result of a look at a tree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reading {
    /// A limit that is reached.
    pub excess: Option<Excess>,
    /// Processes that the kernel has killed since the last look, because the tree had reached its limit of memory.
    pub killed: u64,
    /// Whether the tree uses more than half of what it may.
    pub is_high: bool,
}

impl Meter {
    pub(crate) fn new(
        limits: TreeLimits,
        cgroup: Option<Cgroup>,
        root: Pid,
        orphans: bool,
        table: ProcessTable,
    ) -> Self {
        // An earlier tree of the run may have been in the same cgroup.
        let seen = cgroup.as_ref().map(|cgroup| cgroup.held().counters).unwrap_or_default();
        Self { limits, cgroup, root, orphans, table, seen }
    }

    pub fn limits(&self) -> TreeLimits {
        self.limits
    }

    /// Looks at the tree. What the kernel holds is not measured: only what its limits have led to counts there. Blocks for
    /// some milliseconds.
    ///
    /// # Errors
    /// The processes cannot be listed.
    pub async fn look(&mut self) -> io::Result<Reading> {
        let held = self.cgroup.as_ref().map(Cgroup::held).unwrap_or_default();
        let killed = held.counters.killed.saturating_sub(self.seen.killed);
        let refused = held.counters.refused > self.seen.refused;
        self.seen = held.counters;
        let limit = |held: Option<u64>, limit: u64| if held.is_some() { 0 } else { limit };
        let TreeLimits { memory, tasks, .. } = self.limits;
        if refused && tasks > 0 {
            return Ok(Reading { excess: Some(Excess::Tasks { used: tasks, limit: tasks }), killed, is_high: true });
        }
        let measured = TreeLimits { memory: limit(held.memory, memory), tasks: limit(held.tasks, tasks), weight: 0 };
        if measured == TreeLimits::default() {
            return Ok(Reading { excess: None, killed, is_high: false });
        }
        let (excess, is_high) = self.measure(measured).await?;
        Ok(Reading { excess, killed, is_high })
    }

    async fn measure(&self, limits: TreeLimits) -> io::Result<(Option<Excess>, bool)> {
        let (pids, bound) = self.table.usage(&self.roots()?).await?;
        let files = if limits.memory > 0 { self.table.private_files(&pids) } else { 0 };
        let is_near = |used: u64, limit: u64| limit > 0 && used > limit / 2;
        let is_high = is_near(bound.memory + files, limits.memory) || is_near(bound.tasks, limits.tasks);
        if limits.tasks > 0 && bound.tasks >= limits.tasks {
            return Ok((Some(Excess::Tasks { used: bound.tasks, limit: limits.tasks }), true));
        }
        if limits.memory > 0 && bound.memory + files > limits.memory {
            let used = self.table.exact_memory(&pids).unwrap_or(bound.memory) + files;
            if used > limits.memory {
                return Ok((Some(Excess::Memory { used, limit: limits.memory }), true));
            }
        }
        Ok((None, is_high))
    }

    fn roots(&self) -> io::Result<Vec<i32>> {
        if let Some(cgroup) = &self.cgroup {
            return cgroup.pids();
        }
        let mut roots = vec![self.root.as_raw()];
        if self.orphans {
            roots.extend(registry::lock().orphans()?.into_iter().map(Pid::as_raw));
        }
        Ok(roots)
    }
}
