//! One daemon per home: it holds a lock that the kernel gives back when the process ends, however it ends.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use kugetsu_api::home::Home;
use tokio::sync::oneshot;

/// The held lock.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// Who holds it, as that process wrote down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) pid: u32,
    pub(crate) version: String,
}

/// Takes the lock; none when another process has it.
pub(crate) fn take(home: &Home) -> io::Result<Option<Lock>> {
    let mut file = open(home)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{} {}", std::process::id(), env!("CARGO_PKG_VERSION"))?;
    Ok(Some(Lock { _file: file }))
}

/// Who wrote their name into the lock file last. Only its holder does; whether it still runs is another question.
pub(crate) fn holder(home: &Home) -> Option<Holder> {
    let text = fs::read_to_string(home.lock()).ok()?;
    let (pid, version) = text.trim().split_once(' ')?;
    Some(Holder { pid: pid.parse().ok()?, version: version.to_owned() })
}

/// Whether a process holds it. Nothing is made or written.
pub(crate) fn is_held(home: &Home) -> io::Result<bool> {
    is_file_held(&home.lock())
}

/// Whether a process holds the lock that this file stands for; none does while the file is not there.
pub(crate) fn is_file_held(path: &Path) -> io::Result<bool> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Waits until nobody holds the lock; false when that takes longer than `limit`. The wait is a thread that sleeps in the
/// kernel, and its lock is a shared one that goes at once.
pub(crate) async fn released(home: &Home, limit: Duration) -> io::Result<bool> {
    let file = open(home)?;
    let (free, waiting) = oneshot::channel();
    thread::Builder::new().name("daemon's lock".to_owned()).spawn(move || {
        let locked = file.lock_shared();
        // Whoever is told may want to take it.
        drop(file);
        // Whoever asked may have given up.
        let _ = free.send(locked);
    })?;
    match tokio::time::timeout(limit, waiting).await {
        Err(_) => Ok(false),
        Ok(answer) => answer.map_err(io::Error::other)?.map(|()| true),
    }
}

fn open(home: &Home) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(home.lock())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_one_holds_the_lock() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path().to_owned());
        let held = take(&home).unwrap().unwrap();
        assert!(take(&home).unwrap().is_none());
        assert_eq!(holder(&home).unwrap().pid, std::process::id());
        drop(held);
        assert!(released(&home, Duration::from_secs(60)).await.unwrap());
        assert!(take(&home).unwrap().is_some());
    }

    #[tokio::test]
    async fn a_held_lock_is_not_waited_for_without_end() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path().to_owned());
        let _held = take(&home).unwrap().unwrap();
        assert!(!released(&home, Duration::from_millis(1)).await.unwrap());
    }
}
