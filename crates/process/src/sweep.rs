//! Ends what a killed runner left behind, and lists the processes of a run or in a directory.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
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
    sweep_all(std::slice::from_ref(marker), GRACE).await
}

/// As [`sweep`], for several runs at once, of which the runners may be alive, and with another time between SIGTERM and SIGKILL.
///
/// # Errors
/// As for [`sweep`].
pub async fn sweep_all(markers: &[Marker], grace: Duration) -> io::Result<Swept> {
    let cgroups = markers.iter().flat_map(Cgroup::find).collect();
    let membership = Membership { markers: markers.to_vec(), cgroups, ..Membership::default() };
    let mut killer = TreeKiller::new(ProcessTable::best(), membership)?;
    killer.terminate(grace).await?;
    let survivors = killer.kill().await?;
    if survivors.is_empty() {
        killer.drop_empty_cgroups().await?;
    }
    Ok(Swept { signaled: killer.signaled(), survivors })
}

/// Kills the process that was started with these arguments in a row, and everything that it started, and every process that
/// carries the marker or is in the run's cgroup. Stopped processes, too. This process and its ancestors are spared.
///
/// # Errors
/// As for [`sweep`].
pub async fn kill_with_arguments(arguments: &[OsString], marker: &Marker) -> io::Result<Swept> {
    let table = ProcessTable::best();
    let us = std::process::id().cast_signed();
    let roots = table.with_arguments(arguments).await?.into_iter().filter(|pid| *pid != us);
    let roots: Vec<Option<Pid>> = roots.map(|pid| Some(Pid::from_raw(pid))).collect();
    let mut swept = Swept { signaled: 0, survivors: Vec::new() };
    // Without such a process the rest of the run is left to be killed.
    for root in if roots.is_empty() { vec![None] } else { roots } {
        let membership =
            Membership { root, markers: vec![marker.clone()], cgroups: Cgroup::find(marker), ..Membership::default() };
        let mut killer = TreeKiller::new(table, membership)?;
        let survivors = killer.kill().await?;
        if survivors.is_empty() {
            killer.drop_empty_cgroups().await?;
        }
        swept.signaled += killer.signaled();
        swept.survivors.extend(survivors);
    }
    Ok(swept)
}

/// Lists every process but this one whose environment has the variable `name`, with its value.
pub async fn leftover_processes(name: &str) -> io::Result<Vec<(Pid, OsString)>> {
    let marked = ProcessTable::best().marked(name).await?;
    let us = std::process::id().cast_signed();
    let others = marked.into_iter().filter(|(pid, _)| *pid != us);
    Ok(others.map(|(pid, value)| (Pid::from_raw(pid), OsString::from_vec(value))).collect())
}

/// A process. Its start distinguishes it from a later one with the same pid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worker {
    pub pid: i32,
    /// In clock ticks since the machine started.
    started: u64,
}

/// Lists the processes whose current directory is `dir` or below it, and whose program's name begins with `program`.
///
/// # Errors
/// The process table cannot be read, as on systems without `/proc`.
#[cfg(target_os = "linux")]
pub fn working_in(dir: &Path, program: &str) -> io::Result<Vec<Worker>> {
    let dir = dir.canonicalize()?;
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // Processes end while they are listed, and those of other users hide their directory; neither can hold a lock here.
        let Ok(cwd) = std::fs::read_link(entry.path().join("cwd")) else { continue };
        if !cwd.starts_with(&dir) {
            continue;
        }
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        if let Some(started) = started(&stat, program) {
            found.push(Worker { pid, started });
        }
    }
    Ok(found)
}

#[cfg(not(target_os = "linux"))]
pub fn working_in(_: &Path, _: &str) -> io::Result<Vec<Worker>> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Parses `<pid> (<name>) <state> ...`, see proc(5). The name may contain spaces and parentheses.
#[cfg(target_os = "linux")]
fn started(stat: &str, program: &str) -> Option<u64> {
    let (name, rest) = (stat.split_once('(')?.1.rsplit_once(')')?.0, stat.rsplit_once(')')?.1);
    // Field 22, counted from 1; `rest` begins with field 3.
    name.starts_with(program).then(|| rest.split_whitespace().nth(19)?.parse().ok())?
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn processes_are_found_by_directory_and_name() {
        let dir = tempfile::tempdir().unwrap();
        let below = dir.path().join("below");
        std::fs::create_dir(&below).unwrap();
        let mut child = Command::new("cat").current_dir(&below).stdin(Stdio::piped()).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        // Until exec, the child has the name of this process.
        while working_in(dir.path(), "cat").unwrap().is_empty() {
            std::thread::yield_now();
        }
        assert_eq!(working_in(dir.path(), "cat").unwrap()[0].pid, pid);
        assert_eq!(working_in(&below, "cat").unwrap(), working_in(dir.path(), "cat").unwrap());
        assert_eq!(working_in(dir.path(), "git").unwrap(), []);
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(working_in(dir.path(), "cat").unwrap(), []);
        assert_eq!(started("1 (a) b) S 1 1 1 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 77 0", "a) b"), Some(77));
    }
}
