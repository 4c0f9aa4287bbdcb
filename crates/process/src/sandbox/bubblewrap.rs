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

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::layout::{Network, Sandbox};
use super::paths::{ResolvedPath, ResolvedPaths};
use super::shared_paths::{private_directories, run_directory, system_paths, visible_sockets};
use crate::child::find_on_path;

pub(super) fn find() -> io::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let missing = || io::Error::new(io::ErrorKind::NotFound, "`bwrap` is not on PATH");
    find_on_path(OsStr::new("bwrap"), &path).ok_or_else(missing)
}

/// Creates the command that builds the sandbox and starts a program in it, without the program and its arguments.
pub(super) fn command(program: &Path, sandbox: &Sandbox, paths: &ResolvedPaths) -> Command {
    let mut command = Command::new(program);
    command.args(["--unshare-pid", "--unshare-ipc", "--cap-drop", "ALL"]);
    if sandbox.network != Network::Host {
        command.arg("--unshare-net");
    }
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
    for (path, target) in &paths.links {
        command.arg("--symlink").arg(target).arg(path);
    }
    for socket in visible_sockets(paths) {
        command.args(["--ro-bind", "/dev/null"]).arg(socket);
    }
    // Made read-only at the end: until now bwrap had to create mount points in the hidden directories and in /run. Root
    // without capabilities may still write some files in /proc that are settings of the kernel.
    let hidden = paths.hidden.iter().map(|hidden| hidden.path.as_path());
    for closed in hidden.chain(run_directory()).chain([Path::new("/proc")]) {
        command.arg("--remount-ro").arg(closed);
    }
    command.arg("--");
    command
}

/// Mounts over the read-only file system with their options of bwrap, outer directories first.
fn mounts(paths: &ResolvedPaths) -> Vec<(&'static str, PathBuf)> {
    let with = |option, paths: &[ResolvedPath]| -> Vec<(&'static str, PathBuf)> {
        paths.iter().map(|path| (option, path.path.clone())).collect()
    };
    let mut mounts: Vec<_> = with("--tmpfs", &paths.hidden);
    mounts.extend(with("--tmpfs", &paths.private));
    mounts.extend(system_paths().into_iter().map(|path| ("--ro-bind", path)));
    mounts.extend(paths.shown().map(|path| ("--ro-bind", path.path.clone())));
    mounts.extend(with("--bind", &paths.writable));
    // A stable sort: of two equal paths the later one applies.
    mounts.sort_by_key(|(_, path)| path.components().count());
    mounts
}
