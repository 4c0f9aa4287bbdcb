//! Ends what a killed runner left behind, and lists the processes of any run.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use nix::unistd::Pid;

use crate::marker::Marker;
use crate::tracking::cgroup::Cgroup;
use crate::tracking::table::ProcessTable;
use crate::tracking::tree_killer::{Membership, TreeKiller};

/// Time between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Swept {
    /// Number of processes that were signaled. 0 means that none was found.
    pub signaled: usize,
    /// Processes that survived SIGKILL: they hang in the kernel or belong to another user. Usually empty.
    pub survivors: Vec<Pid>,
}

/// Removes the cgroups that killed runners and probes left empty. Returns their number. Blocks for some milliseconds.
pub fn remove_abandoned_cgroups() -> usize {
    Cgroup::remove_abandoned()
}

/// Ends every process of a run whose runner is gone: those that carry the marker or are in the run's cgroup, with their
/// descendants and groups. Sends SIGTERM, and SIGKILL five seconds later. This process and its ancestors are spared even
/// if they carry the marker.
///
/// A process that left its group, lost its parent and cleared its environment is found by the cgroup only. The runner
/// exists to adopt such processes; a sweep is for runners that were killed.
///
/// # Errors
/// Fails if processes cannot be listed, or the empty cgroup cannot be removed. Processes found until then are ended.
pub async fn sweep(marker: &Marker) -> io::Result<Swept> {
    let membership =
        Membership { marker: Some(marker.clone()), cgroups: Cgroup::find(marker), ..Membership::default() };
    let mut killer = TreeKiller::new(ProcessTable::best(), membership)?;
    killer.terminate(GRACE).await?;
    let survivors = killer.kill().await?;
    if survivors.is_empty() {
        killer.drop_empty_cgroups().await?;
    }
    Ok(Swept { signaled: killer.signaled(), survivors })
}

/// Lists every process but this one whose environment has the variable `name`, with its value.
pub async fn leftover_processes(name: &str) -> io::Result<Vec<(Pid, OsString)>> {
    let marked = ProcessTable::best().marked(name).await?;
    let us = std::process::id().cast_signed();
    let others = marked.into_iter().filter(|(pid, _)| *pid != us);
    Ok(others.map(|(pid, value)| (Pid::from_raw(pid), OsString::from_vec(value))).collect())
}
