//! The lock on an issue's worktree and session. A runner, a removal and an attached terminal exclude each other.
//!
//! It is a lock on the worktree's directory, which the kernel releases however its holder ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The message for callers that find the worktree in use.
pub const ATTACHED: &str = "the session is attached in another terminal (`kugetsu attach`)";

/// Locks the worktree in this directory until the returned file is closed; `None` if it is locked already.
///
/// # Errors
/// The directory cannot be opened or locked.
pub fn hold(worktree: &Path) -> io::Result<Option<File>> {
    // Opening a FIFO would wait for a writer.
    let directory = OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY).open(worktree)?;
    match directory.try_lock() {
        Ok(()) => Ok(Some(directory)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether the worktree in this directory is locked. One that does not exist is not.
///
/// # Errors
/// The directory cannot be opened or locked, which says nothing about a holder.
pub fn is_held(worktree: &Path) -> io::Result<bool> {
    match hold(worktree) {
        Ok(held) => Ok(held.is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worktree_has_one_holder_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let held = hold(directory.path()).unwrap().unwrap();
        assert!(hold(directory.path()).unwrap().is_none() && is_held(directory.path()).unwrap());
        drop(held);
        assert!(!is_held(directory.path()).unwrap());
    }

    #[test]
    fn only_a_missing_worktree_is_free_without_a_lock() {
        let directory = tempfile::tempdir().unwrap();
        let [gone, endless] = ["gone", "endless"].map(|name| directory.path().join(name));
        assert!(hold(&gone).is_err() && !is_held(&gone).unwrap());
        std::os::unix::fs::symlink("endless", &endless).unwrap();
        assert!(is_held(&endless).is_err());
    }

    #[test]
    fn special_file_as_worktree_cannot_be_held() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let writer = pipe.clone();
        // A reader of it does not wait.
        std::thread::spawn(move || OpenOptions::new().write(true).open(writer));
        assert!(hold(&pipe).is_err() && is_held(&pipe).is_err());
    }
}
