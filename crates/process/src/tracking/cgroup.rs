//! A cgroup (version 2) for each tree, below the cgroup of this process, or beside it in a cgroup with
//! [controllers](super::controllers).
//!
//! Whether this process may create a cgroup is found by trying.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::controllers::{Held, TreeLimits, limit, parent_of_trees};
use super::mount::Mount;
use crate::child::group::run_blocking;
use crate::marker::Marker;

/// Bounds the search for a cgroup. No layout in use is this deep.
const MAX_DEPTH: usize = 16;
/// The beginning of the names of all cgroups that kugetsu makes.
const PREFIX: &str = "kugetsu-";
/// A cgroup gets its first process at once, or its creator was killed.
const FILLED_WITHIN: Duration = Duration::from_secs(10 * 60);

#[derive(Debug, Clone)]
pub(crate) struct Cgroup {
    dir: PathBuf,
}

impl Cgroup {
    /// Creates the cgroup of a run.
    pub(crate) fn create(marker: &Marker) -> io::Result<Self> {
        Self::create_named(&name(marker))
    }

    /// Finds the cgroups of a run below any cgroup: its runner may have been in another one than this process. There is at
    /// most one, unless a run was started twice.
    pub(crate) fn find(marker: &Marker) -> Vec<Self> {
        let (name, mut found) = (name(marker), Vec::new());
        if let Some(mount) = Mount::find() {
            search(&mount.point, &|other| other == name, MAX_DEPTH, &mut found);
        }
        found
    }

    /// Creates one, starts a shell in it, and removes it.
    pub(crate) fn is_available() -> bool {
        let Ok(cgroup) = Self::create_named(&format!("{PREFIX}probe-{}", std::process::id())) else { return false };
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", ":"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let entered = cgroup.attach(&mut shell).and_then(|()| run_blocking(&mut shell));
        let removed = cgroup.remove();
        matches!(entered, Ok(status) if status.success()) && removed.is_ok()
    }

    /// Removes the cgroups of runs and probes that ended without removing them: those without processes. Returns their
    /// number.
    pub(crate) fn remove_abandoned() -> usize {
        let Some(mount) = Mount::find() else { return 0 };
        let mut found = Vec::new();
        search(&mount.point, &|name| name.starts_with(PREFIX), MAX_DEPTH, &mut found);
        // The kernel refuses to remove one with processes.
        found.into_iter().filter(|cgroup| cgroup.is_old() && cgroup.remove().is_ok()).count()
    }

    /// Whether its creator has surely put a process into it, if it is alive.
    fn is_old(&self) -> bool {
        let created = self.dir.metadata().and_then(|meta| meta.modified());
        created.ok().and_then(|created| created.elapsed().ok()).is_some_and(|age| age > FILLED_WITHIN)
    }

    fn create_named(name: &str) -> io::Result<Self> {
        let own = Mount::find().and_then(|mount| mount.own()).ok_or(io::ErrorKind::Unsupported)?;
        let dir = parent_of_trees(&own).join(name);
        match fs::create_dir(&dir) {
            // A killed runner left it behind. The processes in it belong to the same run.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => result?,
        }
        Ok(Self { dir })
    }

    /// Sets its limits, as far as it has the controllers.
    pub(crate) fn limit(&self, limits: &TreeLimits) {
        limit(&self.dir, limits);
    }

    /// Its limits, and what they have led to.
    pub(crate) fn held(&self) -> Held {
        Held::read(&self.dir)
    }

    /// Makes `command` start its child in this cgroup. If the child cannot enter it, the start fails.
    pub(crate) fn attach(&self, command: &mut Command) -> io::Result<()> {
        let procs = File::options().write(true).open(self.dir.join("cgroup.procs"))?;
        let enter = move || {
            // SAFETY: writes one byte from static memory. "0" stands for the writing process.
            match unsafe { libc::write(procs.as_raw_fd(), c"0".as_ptr().cast(), 1) } {
                1 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        };
        // SAFETY: the hook makes one system call; it neither allocates nor takes a lock.
        unsafe { command.pre_exec(enter) };
        Ok(())
    }

    /// Lists the processes in it and in the cgroups below it.
    pub(crate) fn pids(&self) -> io::Result<Vec<i32>> {
        let mut pids = Vec::new();
        for dir in self.dirs() {
            match fs::read_to_string(dir.join("cgroup.procs")) {
                // Processes of an outer pid namespace show as 0.
                Ok(list) => {
                    pids.extend(list.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid != 0))
                }
                Err(error) if gone(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(pids)
    }

    /// Kills all processes in it at once, even while they fork (Linux 5.14 or newer).
    pub(crate) fn kill(&self) -> io::Result<()> {
        fs::write(self.dir.join("cgroup.kill"), "1")
    }

    /// Removes it and the cgroups below it. Fails while it contains a process, even a zombie.
    pub(crate) fn remove(&self) -> io::Result<()> {
        for dir in self.dirs().into_iter().rev() {
            match fs::remove_dir(dir) {
                Err(error) if !gone(&error) => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Lists its directory and all directories below, parents first.
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

/// The markers whose cgroups a process is in, the innermost last.
#[cfg(target_os = "linux")]
pub(crate) fn markers_of(pid: i32) -> Vec<String> {
    let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    markers_in(&cgroups)
}

/// Parses `/proc/<pid>/cgroup`, where version 2 is the line `0::/path`.
#[cfg(target_os = "linux")]
fn markers_in(cgroups: &str) -> Vec<String> {
    let path = cgroups.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or_default();
    path.split('/').filter_map(|name| name.strip_prefix(PREFIX)).map(str::to_owned).collect()
}

fn name(marker: &Marker) -> String {
    format!("{PREFIX}{}", marker.id())
}

/// Whether the error means that the cgroup was removed, perhaps between opening and reading a file.
fn gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ENODEV)
}

fn search(dir: &Path, is_it: &dyn Fn(&str) -> bool, depth: usize, found: &mut Vec<Cgroup>) {
    for dir in directories(dir) {
        if dir.file_name().and_then(|last| last.to_str()).is_some_and(is_it) {
            found.push(Cgroup { dir });
        } else if depth > 0 {
            search(&dir, is_it, depth - 1, found);
        }
    }
}

/// Subdirectories; none if the directory cannot be read, since kugetsu can read those that it created.
fn directories(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::process::{Command, Stdio};
    use std::time::SystemTime;

    #[cfg(target_os = "linux")]
    use super::markers_in;
    use super::{Cgroup, FILLED_WITHIN};

    #[test]
    #[cfg(target_os = "linux")]
    fn cgroups_of_runs_are_recognized_in_a_path() {
        let cgroups = "12:cpu:/kugetsu-x\n0::/user.slice/kugetsu-one.home/kugetsu-two.home/inner\n";
        assert_eq!(markers_in(cgroups), ["one.home", "two.home"]);
        assert_eq!(markers_in("0::/\n"), Vec::<String>::new());
    }

    #[test]
    fn abandoned_cgroups_are_removed() {
        let create = |name: &str| Cgroup::create_named(&format!("kugetsu-test-{name}-{}", std::process::id()));
        let (Ok(empty), Ok(filled), Ok(new)) = (create("empty"), create("filled"), create("new")) else { return };
        let mut child = Command::new("cat");
        child.stdin(Stdio::piped());
        if filled.attach(&mut child).is_err() {
            return;
        }
        let mut child = child.spawn().unwrap();
        let old = SystemTime::now() - FILLED_WITHIN * 2;
        for cgroup in [&empty, &filled] {
            File::open(&cgroup.dir).and_then(|dir| dir.set_modified(old)).unwrap();
        }
        let removed = Cgroup::remove_abandoned();
        assert!(removed > 0 && !empty.dir.exists() && filled.dir.exists() && new.dir.exists());
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(filled.remove().is_ok() && new.remove().is_ok());
    }
}
