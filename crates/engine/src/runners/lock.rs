//! A run's lock file: held by its runner for as long as the runner lives.
//!
//! The daemon takes the lock and hands the open file down to the runner, so there is no moment in which a started runner
//! does not hold it. The kernel releases it however the runner ends. Unlike a process id, it can never come to mean
//! another process.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::thread;

use kugetsu_api::home::RunHome;
use kugetsu_api::regular_file;
use tokio::sync::oneshot;

/// The state of a runner.
pub(crate) enum Life {
    NeverStarted,
    /// It holds this file's lock.
    Alive(File),
    Gone,
}

/// Finds out whether the run's runner is alive.
///
/// A runner that holds no lock and has written no records has done nothing yet: the daemon died before it started it, or
/// the runner died at once. Starting it is safe then.
///
/// # Errors
/// The lock cannot be tried, which says nothing about the runner.
pub(crate) fn probe(home: &RunHome) -> io::Result<Life> {
    let lock = match regular_file::open(OpenOptions::new().write(true), &home.lock()) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Life::NeverStarted),
        // An agent replaced it. It will never show whether the runner is alive, and the run must end; a runner that lives all
        // the same is refused, by its fence.
        Err(_) if is_special(home)? && home.records().try_exists()? => return Ok(Life::Gone),
        Err(error) => return Err(error),
    };
    match lock.try_lock() {
        Ok(()) if home.records().try_exists()? => Ok(Life::Gone),
        Ok(()) => Ok(Life::NeverStarted),
        Err(TryLockError::WouldBlock) => Ok(Life::Alive(lock)),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether something that is no file and no link is at the path of the lock.
fn is_special(home: &RunHome) -> io::Result<bool> {
    let kind = home.lock().symlink_metadata()?.file_type();
    Ok(!kind.is_file() && !kind.is_symlink())
}

/// Whether a runner holds the lock. If that cannot be found out, it is assumed.
pub(crate) fn is_alive(home: &RunHome) -> bool {
    !matches!(probe(home), Ok(Life::NeverStarted | Life::Gone))
}

/// Takes the run's lock for a runner that is about to be started. It is held for as long as any process has the file open.
///
/// # Errors
/// The file cannot be created, or another runner of this run holds it.
pub(crate) fn take(home: &RunHome) -> io::Result<File> {
    let lock =
        regular_file::open(OpenOptions::new().create(true).truncate(false).write(true).mode(0o600), &home.lock())?;
    lock.try_lock()?;
    Ok(lock)
}

/// Waits until the runner that holds the lock is gone. A thread sleeps in the kernel; nothing is polled.
///
/// # Errors
/// The lock cannot be waited for (a file system without locks, no more threads), which says nothing about the runner.
pub(crate) async fn released(lock: File) -> io::Result<()> {
    let (gone, end) = oneshot::channel();
    // The receiver is gone if the daemon is stopping.
    let wait = move || drop(gone.send(lock.lock()));
    thread::Builder::new().name("run lock".to_owned()).stack_size(64 * 1024).spawn(wait)?;
    end.await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn life_of_a_runner_is_read_from_its_lock_and_records() {
        let directory = tempfile::tempdir().unwrap();
        let home = RunHome::new(directory.path().join("run"));
        assert!(matches!(probe(&home).unwrap(), Life::NeverStarted));
        home.create(None).unwrap();
        let held = take(&home).unwrap();
        assert!(matches!(probe(&home).unwrap(), Life::Alive(_)));
        assert!(take(&home).is_err(), "a run has one runner");
        drop(held);
        assert!(matches!(probe(&home).unwrap(), Life::NeverStarted), "it had written nothing");
        std::fs::write(home.records(), "").unwrap();
        assert!(matches!(probe(&home).unwrap(), Life::Gone));
    }

    #[tokio::test]
    async fn lock_is_released_when_its_holder_ends() {
        let directory = tempfile::tempdir().unwrap();
        let home = RunHome::new(directory.path().join("run"));
        home.create(None).unwrap();
        let held = take(&home).unwrap();
        let Life::Alive(lock) = probe(&home).unwrap() else { panic!("it is held") };
        let released = tokio::spawn(released(lock));
        tokio::task::yield_now().await;
        assert!(!released.is_finished());
        drop(held);
        released.await.unwrap().unwrap();
    }

    #[test]
    fn special_file_as_lock_never_blocks() {
        let directory = tempfile::tempdir().unwrap();
        let home = RunHome::new(directory.path().join("run"));
        home.create(None).unwrap();
        nix::unistd::mkfifo(&home.lock(), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(probe(&home).is_err() && take(&home).is_err());
        std::fs::write(home.records(), "").unwrap();
        assert!(matches!(probe(&home).unwrap(), Life::Gone), "the run ends");
    }
}
