//! A process, and the ways to end one that every Unix offers. Systems other than Linux have no subreaper.

use std::collections::BTreeSet;
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

/// The use of the machine by several processes together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Bytes; with `/proc`, without those that the kernel can drop because files have them.
    pub(crate) memory: u64,
    /// Processes, and with `/proc` their threads.
    pub(crate) tasks: u64,
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn adopt(_enable: bool) -> io::Result<()> {
    Ok(())
}

/// There is no such protection.
#[cfg(not(target_os = "linux"))]
pub(crate) fn protect_memory() -> io::Result<()> {
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

/// Returns the seeds with all their descendants and all processes of their groups, repeatedly until nothing is added.
///
/// Groups do not lead out of the tree: its first process leads a session of its own, and a group never spans two sessions.
/// A protected process protects its whole group, because a group is signaled as a whole.
pub(crate) fn closure(table: &[Process], seeds: &BTreeSet<i32>, protected: &BTreeSet<i32>) -> Vec<Process> {
    let protected_groups: BTreeSet<i32> =
        table.iter().filter(|process| protected.contains(&process.pid)).map(|process| process.group).collect();
    let (mut pids, mut groups) = (BTreeSet::new(), BTreeSet::new());
    let mut members: Vec<Process> = Vec::new();
    loop {
        let before = members.len();
        for process in table {
            let belongs =
                seeds.contains(&process.pid) || pids.contains(&process.parent) || groups.contains(&process.group);
            let is_protected = protected.contains(&process.pid) || protected_groups.contains(&process.group);
            if belongs && !is_protected && pids.insert(process.pid) {
                groups.extend((process.group > 1).then_some(process.group));
                members.push(*process);
            }
        }
        if members.len() == before {
            return members;
        }
    }
}
