//! What says that a worktree and a relay are ours: a file beside the relay, where no agent can write.
//!
//! A mark inside either would go with it: agents delete `.git` directories, and people half of a worktree.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::files::access::{FileError, IoContext, is_real_dir, read_regular, replace};

/// Who a pair of places belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A worktree and a relay of ours, or what is left of them.
    Us,
    /// There is nothing at either place.
    Nobody,
    /// There is something that we did not make.
    Somebody,
}

/// Whose `dir` and `relay` are.
pub(crate) fn owner(dir: &Path, relay: &Path) -> Owner {
    let recorded = read_regular(&record(relay), 64 * 1024);
    let there = [dir, relay].iter().any(|path| path.symlink_metadata().is_ok());
    match recorded {
        Some(recorded) if recorded == dir.as_os_str().as_bytes() => {
            if there {
                Owner::Us
            } else {
                Owner::Nobody
            }
        }
        _ if there => Owner::Somebody,
        _ => Owner::Nobody,
    }
}

/// Records that `relay` is the relay of a worktree at `dir`.
pub(crate) fn own(dir: &Path, relay: &Path) -> Result<(), FileError> {
    replace(&record(relay), dir.as_os_str().as_bytes())
}

/// Forgets the record.
pub(crate) fn disown(relay: &Path) -> Result<(), FileError> {
    let path = record(relay);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).context("remove", &path),
        _ => Ok(()),
    }
}

/// Whether nobody has pushed anything into a relay yet: it has no objects of its own.
pub(crate) fn is_unused(relay: &Path) -> bool {
    let entries = |dir: &Path| std::fs::read_dir(dir).into_iter().flatten().flatten();
    let objects = relay.join("objects");
    is_real_dir(&objects)
        && entries(&objects).all(|entry| entry.file_name() == "info" || entry.file_name() == "pack")
        && entries(&objects.join("pack")).next().is_none()
}

fn record(relay: &Path) -> PathBuf {
    let mut name = relay.file_name().unwrap_or_default().to_owned();
    name.push(".owned");
    relay.with_file_name(name)
}
