//! A cgroup (version 2) of a tree's own, below the one this process is in.
//!
//! Two layouts exist: version 2 alone at `/sys/fs/cgroup`, and both versions side by side, with version 2 at
//! `/sys/fs/cgroup/unified`. The table of mounts says which; whether we may make one is found by making it.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::child::run_blocking;
use crate::marker::Marker;

/// Deeper than any layout that is in use; keeps a search short.
const DEPTH: usize = 16;

#[derive(Debug)]
pub(crate) struct Cgroup {
    dir: PathBuf,
}

impl Cgroup {
    /// Makes the cgroup of a run.
    pub(crate) fn make(marker: &Marker) -> io::Result<Self> {
        Self::make_named(&name(marker))
    }

    /// Finds the cgroups of a run, wherever its runner stood. There is at most one, unless a run was started twice.
    pub(crate) fn find(marker: &Marker) -> Vec<Self> {
        let (name, mut found) = (name(marker), Vec::new());
        if let Some(mount) = Mount::find() {
            search(&mount.point, &name, DEPTH, &mut found);
        }
        found
    }

    /// Makes one, starts a shell in it, removes it.
    pub(crate) fn is_available() -> bool {
        let Ok(cgroup) = Self::make_named(&format!("kugetsu-probe-{}", std::process::id())) else { return false };
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", ":"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let entered = cgroup.admit(&mut shell).and_then(|()| run_blocking(&mut shell));
        let removed = cgroup.remove();
        matches!(entered, Ok(status) if status.success()) && removed.is_ok()
    }

    fn make_named(name: &str) -> io::Result<Self> {
        let dir = Mount::find().and_then(|mount| mount.own()).ok_or(io::ErrorKind::Unsupported)?.join(name);
        match fs::create_dir(&dir) {
            // Left by a runner that was killed: what is still in it belongs to the same run.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            answer => answer?,
        }
        Ok(Self { dir })
    }

    /// Makes `command` start its child in this cgroup; if it cannot be entered, the start fails.
    pub(crate) fn admit(&self, command: &mut Command) -> io::Result<()> {
        let procs = File::options().write(true).open(self.dir.join("cgroup.procs"))?;
        let enter = move || {
            // SAFETY: writes one byte from static memory. "0" is whoever writes.
            match unsafe { libc::write(procs.as_raw_fd(), c"0".as_ptr().cast(), 1) } {
                1 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        };
        // SAFETY: the hook makes one system call; it neither allocates nor takes a lock.
        unsafe { command.pre_exec(enter) };
        Ok(())
    }

    /// The processes in it and in the cgroups below it.
    pub(crate) fn pids(&self) -> io::Result<Vec<i32>> {
        let mut pids = Vec::new();
        for dir in self.dirs() {
            match fs::read_to_string(dir.join("cgroup.procs")) {
                // A process of an outer namespace is shown as 0.
                Ok(list) => {
                    pids.extend(list.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid != 0))
                }
                Err(error) if gone(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(pids)
    }

    /// Kills everything in it at once, forking or not (Linux 5.14).
    pub(crate) fn kill(&self) -> io::Result<()> {
        fs::write(self.dir.join("cgroup.kill"), "1")
    }

    /// Removes it with the cgroups below it. Fails while there is a process in it, a dead one not yet reaped included.
    pub(crate) fn remove(&self) -> io::Result<()> {
        for dir in self.dirs().into_iter().rev() {
            match fs::remove_dir(dir) {
                Err(error) if !gone(&error) => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Itself and all below it, parents first.
    fn dirs(&self) -> Vec<PathBuf> {
        let mut dirs = vec![self.dir.clone()];
        let mut next = 0;
        while let Some(dir) = dirs.get(next) {
            let below = directories(dir);
            dirs.extend(below);
            next += 1;
        }
        dirs
    }
}

fn name(marker: &Marker) -> String {
    format!("kugetsu-{}", marker.id())
}

/// It was removed, perhaps between opening and reading.
fn gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ENODEV)
}

fn search(dir: &Path, name: &str, depth: usize, found: &mut Vec<Cgroup>) {
    for dir in directories(dir) {
        if dir.file_name().is_some_and(|last| last == name) {
            found.push(Cgroup { dir });
        } else if depth > 0 {
            search(&dir, name, depth - 1, found);
        }
    }
}

/// What cannot be read has nothing of ours in it.
fn directories(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}

/// Where version 2 is mounted, and which part of it.
struct Mount {
    root: PathBuf,
    point: PathBuf,
}

impl Mount {
    fn find() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/mountinfo").ok()?)
    }

    /// `id parent device root point options ... - type source options`
    fn parse(mounts: &str) -> Option<Self> {
        mounts.lines().find_map(|line| {
            let (mount, kind) = line.split_once(" - ")?;
            let mut fields = mount.split(' ').skip(3);
            let (root, point) = (fields.next()?.into(), fields.next()?.into());
            (kind.split(' ').next() == Some("cgroup2")).then_some(Self { root, point })
        })
    }

    /// The cgroup this process is in.
    fn own(&self) -> Option<PathBuf> {
        self.cgroup_of(&fs::read_to_string("/proc/self/cgroup").ok()?)
    }

    /// Version 2 is the line `0::/path`.
    fn cgroup_of(&self, cgroups: &str) -> Option<PathBuf> {
        let path = Path::new(cgroups.lines().find_map(|line| line.strip_prefix("0::"))?);
        Some(self.point.join(path.strip_prefix(&self.root).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Mount;

    #[test]
    fn version_2_alone() {
        let mounts = "25 30 0:23 / /sys rw - sysfs sysfs rw\n\
                      29 25 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        let own = Mount::parse(mounts).unwrap().cgroup_of("0::/user.slice/user-1000.slice/session-2.scope\n");
        assert_eq!(own.unwrap(), Path::new("/sys/fs/cgroup/user.slice/user-1000.slice/session-2.scope"));
    }

    #[test]
    fn both_versions_side_by_side() {
        let mounts = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
                      32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                      41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let own = Mount::parse(mounts).unwrap().cgroup_of("4:memory:/x\n1:cpu:/\n0::/\n");
        assert_eq!(own.unwrap(), Path::new("/sys/fs/cgroup/unified"));
    }

    #[test]
    fn a_part_of_the_tree_is_mounted() {
        let mounts = "29 25 0:26 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let mount = Mount::parse(mounts).unwrap();
        assert_eq!(mount.cgroup_of("0::/docker/abc/x\n").unwrap(), Path::new("/sys/fs/cgroup/x"));
        assert_eq!(mount.cgroup_of("0::/elsewhere\n"), None);
    }

    #[test]
    fn version_1_alone() {
        assert!(Mount::parse("32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n").is_none());
    }
}
