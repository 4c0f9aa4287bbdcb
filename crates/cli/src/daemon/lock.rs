//! The lock that allows one daemon per home. The kernel releases it when the process ends, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use kugetsu_api::endpoints;
use kugetsu_api::home::Home;
use kugetsu_api::regular_file;
use tokio::sync::oneshot;

/// Releases the lock when dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// The process that recorded itself in the lock file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) pid: u32,
    pub(crate) version: String,
    /// See [`PROTOCOL`](kugetsu_api::endpoints::PROTOCOL); 0 for a daemon from before there was one.
    pub(crate) protocol: u32,
}

/// Takes the lock for a command, which keeps daemons away. Returns `None` if another process holds it.
pub(crate) fn take(home: &Home) -> io::Result<Option<Lock>> {
    let Some(file) = take_file(home)? else { return Ok(None) };
    file.set_len(0)?;
    Ok(Some(Lock { _file: file }))
}

/// Takes the lock for a daemon, which becomes the [`holder`]. Returns `None` if another process holds it.
pub(crate) fn take_for_daemon(home: &Home) -> io::Result<Option<Lock>> {
    let Some(mut file) = take_file(home)? else { return Ok(None) };
    let text = format!("{} {}\nprotocol {}\n", std::process::id(), env!("CARGO_PKG_VERSION"), endpoints::PROTOCOL);
    // Shortened afterwards: on a full disk, the bytes that were there can be replaced, but not written again.
    match file.write_all(text.as_bytes()).and_then(|()| file.set_len(text.len() as u64)) {
        Err(error) if error.kind() != io::ErrorKind::StorageFull => Err(error),
        _ => Ok(Some(Lock { _file: file })),
    }
}

fn take_file(home: &Home) -> io::Result<Option<File>> {
    let mut file = open(home)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    file.rewind()?;
    Ok(Some(file))
}

/// The daemon that held the lock last. It may have ended since; see [`is_held`].
pub(crate) fn holder(home: &Home) -> Option<Holder> {
    let text = regular_file::read_to_string(&home.lock()).ok()?;
    let mut lines = text.lines();
    let (pid, version) = lines.next()?.trim().split_once(' ')?;
    let protocol = lines.find_map(|line| line.strip_prefix("protocol ")?.parse().ok()).unwrap_or(0);
    Some(Holder { pid: pid.parse().ok()?, version: version.to_owned(), protocol })
}

/// Whether a process holds the lock. Creates no file.
pub(crate) fn is_held(home: &Home) -> io::Result<bool> {
    is_file_held(&home.lock())
}

/// Whether a process holds the lock on the file at `path`. A missing file is not locked.
pub(crate) fn is_file_held(path: &Path) -> io::Result<bool> {
    let file = match regular_file::open_to_read(path) {
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

/// Waits until the lock is free. Returns false after `limit`.
///
/// A thread blocks in the kernel on a shared lock, which is dropped as soon as it is granted.
pub(crate) async fn released(home: &Home, limit: Duration) -> io::Result<bool> {
    let file = open(home)?;
    let (sender, receiver) = oneshot::channel();
    thread::Builder::new().name("daemon-lock".to_owned()).spawn(move || {
        let locked = file.lock_shared();
        // Released first: the caller may want to take the lock.
        drop(file);
        // Fails if the caller has timed out.
        let _ = sender.send(locked);
    })?;
    match tokio::time::timeout(limit, receiver).await {
        Err(_) => Ok(false),
        Ok(locked) => locked.map_err(io::Error::other)?.map(|()| true),
    }
}

fn open(home: &Home) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true).mode(0o600);
    regular_file::open(&mut options, &home.lock())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn lock_is_exclusive() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path().to_owned());
        let held = take_for_daemon(&home).unwrap().unwrap();
        assert!(take(&home).unwrap().is_none());
        let found = holder(&home).unwrap();
        assert_eq!((found.pid, found.protocol), (std::process::id(), endpoints::PROTOCOL));
        drop(held);
        fs::write(home.lock(), "12 0.1.0\n").unwrap();
        assert_eq!(holder(&home).unwrap(), Holder { pid: 12, version: "0.1.0".to_owned(), protocol: 0 });
        assert!(released(&home, Duration::from_secs(60)).await.unwrap());
        assert!(take(&home).unwrap().is_some());
        assert_eq!(holder(&home), None, "a command is no daemon");
    }

    #[tokio::test]
    async fn waiting_for_a_held_lock_times_out() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path().to_owned());
        let _held = take(&home).unwrap().unwrap();
        assert!(!released(&home, Duration::from_millis(1)).await.unwrap());
    }
}
