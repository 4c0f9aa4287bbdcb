//! Who uses an issue's worktree and session now: a runner, a removal, or a person at the agent's own screen. One at a
//! time: it is a lock on the worktree's directory, which the kernel gives back however its holder ends.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

/// What somebody is told who comes while a person is attached.
pub const ATTACHED: &str = "somebody is at the agent's own screen on it (kugetsu attach)";

/// Takes the worktree in this directory; none when somebody else has it. Held until the file is closed.
///
/// # Errors
/// The directory cannot be opened or locked.
pub fn hold(worktree: &Path) -> io::Result<Option<File>> {
    let directory = File::open(worktree)?;
    match directory.try_lock() {
        Ok(()) => Ok(Some(directory)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether somebody has the worktree in this directory. One that is not there has nobody.
pub fn is_held(worktree: &Path) -> bool {
    matches!(hold(worktree), Ok(None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worktree_is_one_holders_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let held = hold(directory.path()).unwrap().unwrap();
        assert!(hold(directory.path()).unwrap().is_none() && is_held(directory.path()));
        drop(held);
        assert!(!is_held(directory.path()));
        assert!(hold(&directory.path().join("gone")).is_err() && !is_held(&directory.path().join("gone")));
    }
}
