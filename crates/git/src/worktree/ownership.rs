//! Records which worktrees and relays kugetsu made: a file beside the relay, where no agent can write.
//!
//! A mark inside the worktree or the relay would vanish with it: agents delete `.git`, and users delete half a worktree.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::files::access::{FileError, IoContext, is_real_dir, is_there, read_if_there, write_atomic};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ownership {
    /// A worktree and a relay that kugetsu made, or what is left of them.
    Ours,
    /// Nothing is at either path.
    Vacant,
    /// Something is there that kugetsu did not make.
    NotOurs,
}

/// # Errors
/// A path or the relay's record cannot be read.
pub(crate) fn ownership(dir: &Path, relay: &Path) -> Result<Ownership, FileError> {
    let recorded = recorded_directory(relay)?;
    let exists = is_there(dir)? || is_there(relay)?;
    Ok(match recorded {
        Some(recorded) if is_same(&recorded, dir) => {
            if exists {
                Ownership::Ours
            } else {
                Ownership::Vacant
            }
        }
        _ if exists => Ownership::NotOurs,
        _ => Ownership::Vacant,
    })
}

/// Whether a recorded directory is `dir`, maybe in a home that was moved or copied since: the record is in the home itself, so
/// the directory's name and that of its parent are enough.
fn is_same(recorded: &Path, dir: &Path) -> bool {
    let end: Vec<_> = dir.components().rev().take(2).collect();
    recorded == dir || end.len() == 2 && recorded.components().rev().take(2).eq(end)
}

/// The path of the worktree that the relay was made for, as of then.
pub(crate) fn recorded_directory(relay: &Path) -> Result<Option<PathBuf>, FileError> {
    Ok(read_if_there(&record(relay), 64 * 1024)?.map(|path| PathBuf::from(OsString::from_vec(path))))
}

/// Records that `relay` belongs to a worktree at `dir`.
pub(crate) fn claim(dir: &Path, relay: &Path) -> Result<(), FileError> {
    write_atomic(&record(relay), dir.as_os_str().as_bytes())
}

/// Removes the record, and the list of accepted work. If they are missing, that is no error.
pub(crate) fn release(relay: &Path) -> Result<(), FileError> {
    for path in [accepted(relay), record(relay)] {
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).context("remove", &path),
            _ => {}
        }
    }
    Ok(())
}

/// Whether nothing was pushed into a relay: it has no objects of its own.
pub(crate) fn is_relay_unused(relay: &Path) -> bool {
    let entries = |dir: &Path| std::fs::read_dir(dir).into_iter().flatten().flatten();
    let objects = relay.join("objects");
    is_real_dir(&objects)
        && entries(&objects).all(|entry| entry.file_name() == "info" || entry.file_name() == "pack")
        && entries(&objects.join("pack")).next().is_none()
}

fn record(relay: &Path) -> PathBuf {
    beside(relay, ".owned")
}

/// The list of the work that runs left behind when they were `done` all the same.
pub(crate) fn accepted(relay: &Path) -> PathBuf {
    beside(relay, ".accepted")
}

fn beside(relay: &Path, ending: &str) -> PathBuf {
    let mut name = relay.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    relay.with_file_name(name)
}
