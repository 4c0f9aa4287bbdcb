//! The backend that uses the program `bwrap` (<https://github.com/containers/bubblewrap>).
//!
//! It gets paths, not descriptors, because older versions accept nothing else. So a process that may write the parent
//! directory of a path could replace it in the milliseconds between the check and bwrap's start.
//!
//! Two options are left out on purpose:
//!
//! - `--die-with-parent`: the kernel sends that signal when the *thread* that started bwrap ends. And bwrap ends at once on
//!   SIGTERM, so its program would be killed instead of being allowed to end.
//! - `--new-session`: the tree has a session of its own already, without a terminal.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::errno::Errno;

use super::paths::{ResolvedPath, ResolvedPaths};
use super::seccomp;
use crate::child::find_on_path;
use crate::os::linux;

/// Directories that the programs of all users share. In a sandbox they are private and empty.
const PRIVATE: [&str; 3] = ["/tmp", "/var/tmp", "/run"];
/// Directories below a private one in which some systems keep programs and libraries.
const SYSTEM: [&str; 3] = ["/run/current-system", "/run/booted-system", "/run/opengl-driver"];

pub(super) struct Bubblewrap {
    program: PathBuf,
    /// The compiled seccomp filter.
    filter: File,
}

impl Bubblewrap {
    pub(super) fn prepare() -> io::Result<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let missing = || io::Error::new(io::ErrorKind::NotFound, "`bwrap` is not on PATH");
        let program = find_on_path(OsStr::new("bwrap"), &path).ok_or_else(missing)?;
        Ok(Self { program, filter: linux::memfd_with(&seccomp::to_bytes(&seccomp::basic()?))? })
    }

    /// Creates the command for `program` in `cwd`, without the program's arguments.
    pub(super) fn command(&self, paths: &ResolvedPaths, cwd: &Path, program: &OsStr) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["--unshare-pid", "--unshare-ipc", "--cap-drop", "ALL"]);
        command.args(["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]);
        for private in private_directories() {
            command.arg("--tmpfs").arg(private);
        }
        for (option, path) in mounts(paths) {
            command.arg(option).arg(&path);
            if option != "--tmpfs" {
                command.arg(&path);
            }
        }
        // Made read-only at the end: until now bwrap had to create mount points in the hidden directories and in /run. Root
        // without capabilities may still write some files in /proc that are settings of the kernel.
        let hidden = paths.hidden.iter().map(|hidden| hidden.path.as_path());
        for closed in hidden.chain(run_directory()).chain([Path::new("/proc")]) {
            command.arg("--remount-ro").arg(closed);
        }
        command.arg("--seccomp").arg(self.filter.as_raw_fd().to_string());
        command.arg("--chdir").arg(cwd).arg("--").arg(program);
        command
    }

    /// Lets bwrap inherit the descriptor of the filter, which it reads and closes.
    pub(super) fn pass_filter(self, command: &mut Command) {
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

/// Those of [`PRIVATE`] that are directories on this system, not links.
pub(super) fn private_directories() -> Vec<PathBuf> {
    PRIVATE.map(PathBuf::from).into_iter().filter(|path| is_real_directory(path)).collect()
}

fn run_directory() -> Option<&'static Path> {
    Some(Path::new("/run")).filter(|run| is_real_directory(run))
}

fn is_real_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

/// Mounts over the read-only file system with their options of bwrap, outer directories first.
fn mounts(paths: &ResolvedPaths) -> Vec<(&'static str, PathBuf)> {
    let with = |option, paths: &[ResolvedPath]| -> Vec<(&'static str, PathBuf)> {
        paths.iter().map(|path| (option, path.path.clone())).collect()
    };
    let mut mounts: Vec<_> = with("--tmpfs", &paths.hidden);
    mounts.extend(system_paths().into_iter().map(|path| ("--ro-bind", path)));
    mounts.extend(with("--ro-bind", &paths.readable));
    mounts.extend(with("--bind", &paths.writable));
    // A stable sort: of two equal paths the later one applies.
    mounts.sort_by_key(|(_, path)| path.components().count());
    mounts
}

/// Paths below a private directory that belong to the system: programs, and the file for name resolution.
fn system_paths() -> BTreeSet<PathBuf> {
    let mut paths: BTreeSet<PathBuf> = SYSTEM.map(PathBuf::from).into_iter().filter(|path| path.exists()).collect();
    if let Ok(resolver) = fs::canonicalize("/etc/resolv.conf")
        && let Some(directory) = resolver.parent()
        && resolver.starts_with("/run")
    {
        // The directory, because the file is replaced when the network changes.
        paths.insert(if directory == Path::new("/run") { resolver } else { directory.to_owned() });
    }
    paths
}
