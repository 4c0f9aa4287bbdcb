//! Locks between processes: a lock file beside what it guards, held by an open file, so a killed holder frees it.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::command::progress::{Progress, ProgressSink};
use crate::files::access::{FileError, IoContext, off_thread};

/// Held while it lives.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// Takes the lock of `guarded` (`<guarded>.lock`), and says `waiting` once if somebody else has it.
pub(crate) async fn take(guarded: &Path, waiting: &str, progress: ProgressSink<'_>) -> Result<Lock, FileError> {
    let path = beside(guarded);
    loop {
        let lock = wait(&path, waiting, progress).await?;
        // A holder may have removed the file while this one waited for it; then it locks nobody out.
        let same =
            |there: std::fs::Metadata, held: std::fs::Metadata| (there.dev(), there.ino()) == (held.dev(), held.ino());
        let held = lock._file.metadata().context("read", &path)?;
        if path.symlink_metadata().is_ok_and(|there| same(there, held)) {
            return Ok(lock);
        }
    }
}

/// Removes the lock file of something that is gone; the caller holds the lock.
pub(crate) fn remove(guarded: &Path, _held: Lock) -> Result<(), FileError> {
    let path = beside(guarded);
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
    off_thread(&path.clone(), move || {
        file.lock().context("lock", &path)?;
        Ok(Lock { _file: file })
    })
    .await
}

fn beside(guarded: &Path) -> PathBuf {
    let mut name = guarded.file_name().unwrap_or_default().to_owned();
    name.push(".lock");
    guarded.with_file_name(name)
}
