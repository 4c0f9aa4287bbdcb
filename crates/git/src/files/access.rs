//! File operations for directories that an agent can write: no symbolic link is followed and no FIFO blocks.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use thiserror::Error;

/// An I/O error with the attempted action and the path.
#[derive(Debug, Error)]
#[error("could not {action} {}: {source}", path.display())]
pub struct FileError {
    /// A verb, such as `read`.
    pub action: &'static str,
    pub path: PathBuf,
    pub source: io::Error,
}

/// Adds action and path to an I/O error.
pub(crate) trait IoContext<T> {
    fn context(self, action: &'static str, path: &Path) -> Result<T, FileError>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn context(self, action: &'static str, path: &Path) -> Result<T, FileError> {
        self.map_err(|source| FileError { action, path: path.to_owned(), source })
    }
}

/// Appends a path as git writes it: bytes, not necessarily UTF-8.
pub(crate) fn join_bytes(dir: &Path, name: &[u8]) -> PathBuf {
    dir.join(OsStr::from_bytes(name))
}

/// Reads a regular file of at most `max` bytes. `None` for everything else: a symbolic link, a FIFO, a file that is
/// missing, unreadable or larger.
pub(crate) fn read_regular(path: &Path, max: u64) -> Option<Vec<u8>> {
    read_regular_with_time(path, max).map(|(bytes, _)| bytes)
}

/// Opens a regular file. Links are not followed.
pub(crate) fn open_regular(path: &Path) -> Option<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path).ok()?;
    file.metadata().is_ok_and(|meta| meta.is_file()).then_some(file)
}

/// As [`read_regular`], with the modification time that the file had before.
pub(crate) fn read_regular_with_time(path: &Path, max: u64) -> Option<(Vec<u8>, SystemTime)> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path).ok()?;
    let meta = file.metadata().ok()?;
    if !meta.is_file() || meta.len() > max {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(max).read_to_end(&mut bytes).ok()?;
    Some((bytes, meta.modified().ok()?))
}

/// Writes a file that must not exist yet.
fn write_new(path: &Path, bytes: &[u8]) -> Result<File, FileError> {
    let open = || OpenOptions::new().write(true).create_new(true).custom_flags(libc::O_NOFOLLOW).open(path);
    open().and_then(|mut file: File| file.write_all(bytes).map(|()| file)).context("write", path)
}

/// Replaces a file by rename: a reader sees the old or the new content, never a part.
pub(crate) fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write_atomic_with_time(path, bytes, None)
}

/// As [`write_atomic`]; the new file has this modification time, if any is given.
pub(crate) fn write_atomic_with_time(path: &Path, bytes: &[u8], modified: Option<SystemTime>) -> Result<(), FileError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".new-{}", unique_suffix()));
    let temporary = path.with_file_name(name);
    let file = write_new(&temporary, bytes)?;
    if let Some(modified) = modified {
        file.set_modified(modified).context("set the time of", &temporary)?;
    }
    std::fs::rename(&temporary, path).context("replace", path)
}

pub(crate) fn create_dir_all(path: &Path) -> Result<(), FileError> {
    std::fs::create_dir_all(path).context("create", path)
}

/// Whether the path itself is a directory; a link to one is not.
pub(crate) fn is_real_dir(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|meta| meta.is_dir())
}

/// Returns a different text for every call in every process.
pub(crate) fn unique_suffix() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos());
    format!("{}-{since:x}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Runs file operations that may take long on a blocking thread. `path` names them if the thread panics.
pub(crate) async fn blocking<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> Result<T, FileError> + Send + 'static,
) -> Result<T, FileError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(join) => Err(FileError { action: "work in", path: path.to_owned(), source: io::Error::other(join) }),
    }
}
