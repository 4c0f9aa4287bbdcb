//! Measures by `/proc` how much processes use of the machine.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;

use super::unix::Usage;

/// Lists the processes that these have started, and these themselves, as far as they exist. Much less work than a listing of
/// all processes; some may be missing while others end.
pub(crate) fn descendants(roots: &[i32]) -> Vec<i32> {
    let mut found: Vec<i32> = roots.to_vec();
    let mut known: BTreeSet<i32> = roots.iter().copied().collect();
    let mut next = 0;
    while let Some(pid) = found.get(next) {
        found.extend(children(*pid).into_iter().filter(|child| known.insert(*child)).collect::<Vec<_>>());
        next += 1;
    }
    found
}

fn children(pid: i32) -> Vec<i32> {
    let threads = fs::read_dir(file(pid, "task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// Memory that several processes share counts for each of them: an upper bound that is quickly read.
pub(crate) fn at_most(pids: &[i32]) -> Usage {
    pids.iter().filter_map(|pid| fs::read_to_string(file(*pid, "status")).ok()).fold(Usage::default(), |sum, status| {
        let bytes = |name: &str| kilobytes(&status, name).unwrap_or(0);
        let tasks = status.lines().find_map(|line| line.strip_prefix("Threads:")?.trim().parse().ok()).unwrap_or(1);
        Usage {
            memory: sum.memory + bytes("RssAnon:") + bytes("RssShmem:") + bytes("VmSwap:"),
            tasks: sum.tasks + tasks,
        }
    })
}

/// Bytes that these processes use, each page divided by the number of processes that share it. The kernel looks at every page
/// for that.
pub(crate) fn memory(pids: &[i32]) -> u64 {
    let one = |pid: i32| match fs::read_to_string(file(pid, "smaps_rollup")).ok() {
        Some(text) if text.contains("Pss_Anon:") => {
            ["Pss_Anon:", "Pss_Shmem:", "SwapPss:"].into_iter().filter_map(|name| kilobytes(&text, name)).sum()
        }
        // The kernel is older than 5.3, or the process hides it.
        _ => at_most(&[pid]).memory,
    };
    pids.iter().map(|pid| one(*pid)).sum()
}

/// Bytes in the file systems in memory that only these processes have, such as the `/tmp` of a sandbox.
pub(crate) fn private_files(pids: &[i32]) -> u64 {
    let namespace = |process: &str| fs::read_link(Path::new("/proc").join(process).join("ns/mnt")).ok();
    let mut known = BTreeSet::from_iter(namespace("self"));
    let outside = devices(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default());
    let outside: BTreeSet<(u64, u64)> = outside.into_iter().map(|(device, _)| device).collect();
    let mut counted = outside;
    let mut bytes = 0;
    for pid in pids {
        if namespace(&pid.to_string()).is_none_or(|namespace| !known.insert(namespace)) {
            continue;
        }
        let root = file(*pid, "root");
        for (device, point) in devices(&fs::read_to_string(file(*pid, "mountinfo")).unwrap_or_default()) {
            let path = root.join(point.strip_prefix("/").unwrap_or(&point));
            // Another mount may be above it.
            let is_visible = fs::metadata(&path).is_ok_and(|found| number_of(found.dev()) == device);
            if is_visible
                && counted.insert(device)
                && let Ok(stats) = statvfs(&path)
            {
                bytes += (stats.blocks() - stats.blocks_free()) * stats.fragment_size();
            }
        }
    }
    bytes
}

/// The mounted file systems that may be in memory: those of type tmpfs, and overlays, whose upper layer may be one.
fn devices(mounts: &str) -> Vec<((u64, u64), PathBuf)> {
    let in_memory = |line: &str| {
        let (mount, rest) = line.split_once(" - ")?;
        matches!(rest.split(' ').next()?, "tmpfs" | "overlay").then_some(())?;
        let mut fields = mount.split(' ').skip(2);
        let (major, minor) = fields.next()?.split_once(':')?;
        let point = fields.nth(1)?;
        Some(((major.parse().ok()?, minor.parse().ok()?), PathBuf::from(point)))
    };
    mounts.lines().filter_map(in_memory).collect()
}

fn number_of(device: u64) -> (u64, u64) {
    (u64::from(libc::major(device)), u64::from(libc::minor(device)))
}

/// The bytes in a line `name: number kB`.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

fn file(pid: i32, name: &str) -> PathBuf {
    Path::new("/proc").join(pid.to_string()).join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_from_the_kernels_files() {
        let status = "Name:\ta\nVmSwap:\t       4 kB\nRssAnon:\t     100 kB\nThreads:\t7\n";
        assert_eq!(kilobytes(status, "RssAnon:"), Some(102_400));
        assert_eq!(kilobytes(status, "RssShmem:"), None);
        let mounts = "29 1 0:26 / /tmp rw,nosuid shared:4 - tmpfs tmpfs rw\n30 1 254:0 / / rw - ext4 /dev/vda rw\n";
        assert_eq!(devices(mounts), [((0, 26), PathBuf::from("/tmp"))]);
    }

    #[test]
    fn this_process_and_its_children_are_measured() {
        let mut child = std::process::Command::new("sh").args(["-c", "sleep 60 & wait"]).spawn().unwrap();
        let own = std::process::id().cast_signed();
        let mut pids = Vec::new();
        while pids.len() < 3 {
            pids = descendants(&[own]);
        }
        assert!(pids.contains(&child.id().cast_signed()));
        let bound = at_most(&pids);
        assert!(bound.tasks >= 3 && bound.memory > 0);
        assert!(memory(&pids) > 0);
        // It shares its mounts with this process.
        assert_eq!(private_files(&pids), 0);
        for pid in pids.into_iter().filter(|pid| *pid != own) {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
        child.wait().unwrap();
    }
}
