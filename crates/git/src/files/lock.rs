//! Locks between processes: a lock file beside the guarded path. The kernel releases it when its holder dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::command::progress::{Progress, ProgressSink};
use crate::files::access::{FileError, IoContext, blocking};

/// Released when it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// Acquires the lock of `guarded` (`<guarded>.lock`). If another process holds it, reports `waiting` once and waits.
pub(crate) async fn acquire(guarded: &Path, waiting: &str, progress: ProgressSink<'_>) -> Result<Lock, FileError> {
    let path = lock_path(guarded);
    loop {
        let lock = wait(&path, waiting, progress).await?;
        // The last holder may have removed the file while this process waited for it. A lock on a removed file
        // excludes no other process, because the next one creates a new file; so start over.
        if is_at(&lock._file, &path)? {
            return Ok(lock);
        }
    }
}

/// Acquires the lock of `guarded` if no process holds it.
pub(crate) fn try_acquire(guarded: &Path) -> Result<Option<Lock>, FileError> {
    let path = lock_path(guarded);
    let file = open(&path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(source)) => return Err(FileError { action: "lock", path, source }),
    }
    Ok(is_at(&file, &path)?.then_some(Lock { _file: file }))
}

/// Removes the lock file of something that is gone. Takes the lock, since only its holder may do that.
pub(crate) fn remove_file(guarded: &Path, _held: Lock) -> Result<(), FileError> {
    let path = lock_path(guarded);
    std::fs::remove_file(&path).context("remove", &path)
}

async fn wait(path: &Path, waiting: &str, progress: &mut (dyn FnMut(Progress) + Send)) -> Result<Lock, FileError> {
    let path = path.to_owned();
    let file = open(&path)?;
    match file.try_lock() {
        Ok(()) => return Ok(Lock { _file: file }),
        Err(TryLockError::WouldBlock) => progress(Progress::new(waiting)),
        Err(TryLockError::Error(source)) => return Err(FileError { action: "lock", path, source }),
    }
    blocking(&path.clone(), move || {
        file.lock().context("lock", &path)?;
        Ok(Lock { _file: file })
    })
    .await
}

fn open(path: &Path) -> Result<File, FileError> {
    // Not blocking: it may be a FIFO, whose opening waits for a reader.
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).custom_flags(libc::O_NONBLOCK);
    let file = options.open(path).context("open", path)?;
    if !file.metadata().context("read", path)?.is_file() {
        return Err(io::Error::other("it is not a regular file")).context("lock", path);
    }
    Ok(file)
}

/// Whether an open file is still the one at its path.
fn is_at(file: &File, path: &Path) -> Result<bool, FileError> {
    let held = file.metadata().context("read", path)?;
    let is_same = |current: std::fs::Metadata| (current.dev(), current.ino()) == (held.dev(), held.ino());
    Ok(path.symlink_metadata().is_ok_and(is_same))
}

fn lock_path(guarded: &Path) -> PathBuf {
    let mut name = guarded.file_name().unwrap_or_default().to_owned();
    name.push(".lock");
    guarded.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use nix::sys::stat::Mode;

    use super::*;

    #[tokio::test]
    async fn special_file_as_lock_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let guarded = directory.path().join("mirror");
        nix::unistd::mkfifo(&lock_path(&guarded), Mode::S_IRWXU).unwrap();
        assert!(try_acquire(&guarded).is_err());
        assert!(acquire(&guarded, "", &mut |_| ()).await.is_err());
        let _reader = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(lock_path(&guarded)).unwrap();
        assert!(try_acquire(&guarded).is_err());
    }
}
