//! A cage by the program `bwrap` (<https://github.com/containers/bubblewrap>).
//!
//! It is told paths, not descriptors, since older versions take nothing else: between the look at a path and bwrap's start,
//! some milliseconds, another process that may write the directory above could exchange it.
//!
//! Not used: `--die-with-parent`, because the kernel takes the end of the *thread* that started bwrap for the parent's
//! end, and because bwrap obeys SIGTERM at once, so that its program would be killed instead of being asked to end.
//! `--new-session`, because the tree has a session of its own already, without a terminal.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::errno::Errno;

use super::memfd;
use super::paths::ResolvedPaths;
use super::seccomp;
use crate::program::find_on_path;

/// Where programs of all users meet; in a cage these are empty and its own.
const PRIVATE: [&str; 3] = ["/tmp", "/var/tmp", "/run"];
/// Where some systems keep their programs and libraries, below a private one.
const SYSTEMS: [&str; 3] = ["/run/current-system", "/run/booted-system", "/run/opengl-driver"];

pub(super) struct Bubblewrap {
    program: PathBuf,
    filter: File,
}

impl Bubblewrap {
    pub(super) fn build() -> io::Result<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let missing = || io::Error::new(io::ErrorKind::NotFound, "`bwrap` is not on PATH");
        let program = find_on_path(OsStr::new("bwrap"), &path).ok_or_else(missing)?;
        Ok(Self { program, filter: memfd::holding(&seccomp::bytes(&seccomp::basic()?))? })
    }

    /// `program` in `cwd`; its arguments are to follow.
    pub(super) fn command(&self, paths: &ResolvedPaths, cwd: &Path, program: &OsStr) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["--unshare-pid", "--unshare-ipc", "--cap-drop", "ALL"]);
        command.args(["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]);
        for private in private() {
            command.arg("--tmpfs").arg(private);
        }
        for (kind, path) in shown(paths) {
            command.arg(kind).arg(&path);
            if kind != "--tmpfs" {
                command.arg(&path);
            }
        }
        // Put in path by now are the directories that lead to what is shown below these. What root may write in `/proc`
        // without a capability includes settings of the kernel.
        for closed in paths.hidden.iter().map(|path| path.path.as_path()).chain(run()).chain([Path::new("/proc")]) {
            command.arg("--remount-ro").arg(closed);
        }
        command.arg("--seccomp").arg(self.filter.as_raw_fd().to_string());
        command.arg("--chdir").arg(cwd).arg("--").arg(program);
        command
    }

    /// bwrap is to inherit the filter, which it reads and closes.
    pub(super) fn hand_over(self, command: &mut Command) {
        let filter = self.filter;
        // SAFETY: the hook makes one system call; it neither allocates nor takes a lock.
        unsafe {
            command.pre_exec(move || {
                Errno::result(libc::fcntl(filter.as_raw_fd(), libc::F_SETFD, 0))?;
                Ok(())
            })
        };
    }
}

/// Those of [`PRIVATE`] that are directories here.
pub(super) fn private() -> Vec<PathBuf> {
    PRIVATE.map(PathBuf::from).into_iter().filter(|path| is_real_directory(path)).collect()
}

fn run() -> Option<&'static Path> {
    Some(Path::new("/run")).filter(|run| is_real_directory(run))
}

fn is_real_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
}

/// What is mounted over the read-only file system, outer directories first.
fn shown(paths: &ResolvedPaths) -> Vec<(&'static str, PathBuf)> {
    let list = |kind, list: &[super::paths::ResolvedPath]| -> Vec<(&'static str, PathBuf)> {
        list.iter().map(|path| (kind, path.path.clone())).collect()
    };
    let system = system().into_iter().map(|path| ("--ro-bind", path));
    let mut all: Vec<_> = list("--tmpfs", &paths.hidden);
    all.extend(system);
    all.extend(list("--ro-bind", &paths.readable));
    all.extend(list("--bind", &paths.writable));
    // Stable: of two that are equal the later one counts.
    all.sort_by_key(|(_, path)| path.components().count());
    all
}

/// What lies below a private directory and is part of the system: programs, and what names of machines are looked up by.
fn system() -> BTreeSet<PathBuf> {
    let mut found: BTreeSet<PathBuf> = SYSTEMS.map(PathBuf::from).into_iter().filter(|path| path.exists()).collect();
    if let Ok(resolver) = fs::canonicalize("/etc/resolv.conf")
        && let Some(directory) = resolver.parent()
        && resolver.starts_with("/run")
    {
        // The directory, because the file is replaced when the network changes.
        found.insert(if directory == Path::new("/run") { resolver } else { directory.to_owned() });
    }
    found
}
