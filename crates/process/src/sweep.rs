//! Ending what a runner left that was killed itself, and finding what should not be there.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use nix::unistd::Pid;

use crate::cgroup::Cgroup;
use crate::marker::Marker;
use crate::table::Source;
use crate::tree_killer::{Membership, TreeKiller};

/// How long the processes may take to obey SIGTERM.
const GRACE: Duration = Duration::from_secs(5);

/// What a sweep met.
#[derive(Debug)]
pub struct Swept {
    /// Processes that had to be signalled. 0: there was nothing.
    pub signalled: usize,
    /// Processes that would not end. Empty, unless one hangs in the kernel or belongs to another user.
    pub survivors: Vec<Pid>,
}

/// Ends every process of a run whose runner is gone: those that carry the marker or are in the run's cgroup, with their
/// descendants and groups. SIGTERM, five seconds, SIGKILL until none is left. This process and those above it are
/// spared, marker or not.
///
/// A process that left its group, lost its parent *and* cleared its environment is found only by the cgroup: that is
/// what the runner is for.
///
/// # Errors
/// Processes could not be listed, or the empty cgroup could not be removed. What was found until then is ended.
pub async fn sweep(marker: &Marker) -> io::Result<Swept> {
    sweep_seen_by(Source::best(), marker).await
}

pub(crate) async fn sweep_seen_by(source: Source, marker: &Marker) -> io::Result<Swept> {
    let membership =
        Membership { marker: Some(marker.clone()), cgroups: Cgroup::find(marker), ..Membership::default() };
    let mut killer = TreeKiller::new(source, membership)?;
    killer.terminate(GRACE).await?;
    let survivors = killer.kill().await?;
    if survivors.is_empty() {
        killer.drop_empty_cgroups().await?;
    }
    Ok(Swept { signalled: killer.signalled(), survivors })
}

/// Every process that carries the variable `name`, whatever its value, apart from this one. For a person who wants to
/// know what still runs.
///
/// # Errors
/// Processes could not be listed.
pub async fn leftover_processes(name: &str) -> io::Result<Vec<(Pid, OsString)>> {
    let marked = Source::best().marked(name).await?;
    let us = std::process::id().cast_signed();
    let others = marked.into_iter().filter(|(pid, _)| *pid != us);
    Ok(others.map(|(pid, value)| (Pid::from_raw(pid), OsString::from_vec(value))).collect())
}
