//! Locks between processes: a lock file beside the guarded path. The kernel releases it when its holder dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::MetadataExt;
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
        let is_same =
            |one: std::fs::Metadata, other: std::fs::Metadata| (one.dev(), one.ino()) == (other.dev(), other.ino());
        let held = lock._file.metadata().context("read", &path)?;
        if path.symlink_metadata().is_ok_and(|current| is_same(current, held)) {
            return Ok(lock);
        }
    }
}

/// Removes the lock file of something that is gone. Takes the lock, since only its holder may do that.
pub(crate) fn remove_file(guarded: &Path, _held: Lock) -> Result<(), FileError> {
    let path = lock_path(guarded);
    std::fs::remove_file(&path).context("remove", &path)
}

async fn wait(path: &Path, waiting: &str, progress: &mut (dyn FnMut(Progress) + Send)) -> Result<Lock, FileError> {
    let path = path.to_owned();
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).context("open", &path)?;
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

fn lock_path(guarded: &Path) -> PathBuf {
    let mut name = guarded.file_name().unwrap_or_default().to_owned();
    name.push(".lock");
    guarded.with_file_name(name)
}
