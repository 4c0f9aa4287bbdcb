//! Copies of large files: by sharing their blocks where the file system can, else without the holes of a sparse file.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::files::access::{FileError, IoContext, open_unfollowed};

/// Bytes that are copied between two looks at [`Canceled`].
const CHUNK: u64 = 32 * 1024 * 1024;

/// Ends copies when it is dropped, as a future is that nothing waits for any more.
#[derive(Debug, Default)]
pub(crate) struct Cancel(Canceled);

/// Whether a copy is to end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Canceled(Arc<AtomicBool>);

impl Cancel {
    pub(crate) fn watched(&self) -> Canceled {
        self.0.clone()
    }
}

impl Drop for Cancel {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// Copies a regular file with its permissions and its time to `to`, which must not exist. A link is not followed.
pub(crate) fn copy_file(from: &Path, to: &Path) -> Result<(), FileError> {
    copy_file_until(from, to, &Canceled::default())
}

/// As [`copy_file`], but fails once it is canceled.
pub(crate) fn copy_file_until(from: &Path, to: &Path, canceled: &Canceled) -> Result<(), FileError> {
    let source = open_unfollowed(from).context("read", from)?;
    let meta = source.metadata().context("read", from)?;
    if !meta.is_file() {
        return Err(io::Error::other("it is not a regular file")).context("copy", from);
    }
    let target = OpenOptions::new().write(true).create_new(true).open(to).context("write", to)?;
    if !share_blocks(&source, &target) {
        copy_data(source, &target, meta.len(), canceled).context("copy", from)?;
    }
    if let Ok(modified) = meta.modified() {
        target.set_modified(modified).context("set the time of", to)?;
    }
    target.set_permissions(meta.permissions()).context("write", to)
}

/// Lets both files share their blocks until one of them changes (btrfs, XFS, bcachefs). `false` if the file system cannot.
#[cfg(target_os = "linux")]
fn share_blocks(source: &File, target: &File) -> bool {
    // SAFETY: both descriptors are open; the call reads no memory of this process.
    unsafe { libc::ioctl(target.as_raw_fd(), libc::FICLONE as _, source.as_raw_fd()) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn share_blocks(_: &File, _: &File) -> bool {
    false
}

/// Copies the parts of a file that hold data. Where holes cannot be found, all of it is data.
fn copy_data(mut source: File, mut target: &File, length: u64, canceled: &Canceled) -> io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    target.set_len(length)?;
    let mut at = 0;
    while at < length {
        let (start, end) = next_data(&source, at, length);
        if start >= length {
            break;
        }
        source.seek(SeekFrom::Start(start))?;
        target.seek(SeekFrom::Start(start))?;
        if canceled.0.load(Ordering::Relaxed) {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "it was canceled"));
        }
        let wanted = (end - start).min(CHUNK);
        let copied = io::copy(&mut (&mut source).take(wanted), &mut target)?;
        if copied < wanted {
            // It was truncated meanwhile.
            break;
        }
        at = start + wanted;
    }
    Ok(())
}

/// The next range with data at or after `at`.
#[cfg(target_os = "linux")]
fn next_data(source: &File, at: u64, length: u64) -> (u64, u64) {
    let seek = |offset: u64, whence| {
        let offset = libc::off64_t::try_from(offset).unwrap_or(libc::off64_t::MAX);
        // SAFETY: the descriptor is open; the call reads no memory of this process.
        let found = unsafe { libc::lseek64(source.as_raw_fd(), offset, whence) };
        u64::try_from(found).map_err(|_| io::Error::last_os_error())
    };
    match seek(at, libc::SEEK_DATA) {
        Ok(start) => (start, seek(start, libc::SEEK_HOLE).unwrap_or(length).clamp(start, length)),
        Err(error) if error.raw_os_error() == Some(libc::ENXIO) => (length, length),
        Err(_) => (at, length),
    }
}

#[cfg(not(target_os = "linux"))]
fn next_data(_: &File, at: u64, length: u64) -> (u64, u64) {
    (at, length)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};

    use super::*;

    #[test]
    fn copies_are_equal_and_sparse() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        let file = File::create(&from).unwrap();
        file.write_all_at(b"begin", 0).unwrap();
        file.write_all_at(b"end", 64 * 1024 * 1024).unwrap();
        file.set_permissions(std::fs::Permissions::from_mode(0o750)).unwrap();
        copy_file(&from, &to).unwrap();
        assert!(std::fs::read(&from).unwrap() == std::fs::read(&to).unwrap());
        let meta = to.metadata().unwrap();
        assert!(meta.blocks() * 512 < 1024 * 1024, "{} blocks", meta.blocks());
        assert_eq!(meta.permissions().mode() & 0o777, 0o750);
        assert!(copy_file(&from, &to).is_err(), "nothing is overwritten");
        let cancel = Cancel::default();
        let watched = cancel.watched();
        drop(cancel);
        assert!(copy_file_until(&from, &dir.path().join("canceled"), &watched).is_err());
        std::os::unix::fs::symlink(&from, dir.path().join("link")).unwrap();
        assert!(copy_file(&dir.path().join("link"), &dir.path().join("other")).is_err());
    }
}
