//! Small file work where somebody else (an agent) may have put anything in the way: nothing is followed, nothing blocks.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// What the system refused, and where.
#[derive(Debug, Error)]
#[error("could not {action} {}: {source}", path.display())]
pub struct FileError {
    /// A verb: what was tried.
    pub action: &'static str,
    /// The file or directory.
    pub path: PathBuf,
    /// What the system says.
    pub source: io::Error,
}

/// Adds what was tried, and where, to an error of the system.
pub(crate) trait IoContext<T> {
    fn context(self, action: &'static str, path: &Path) -> Result<T, FileError>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn context(self, action: &'static str, path: &Path) -> Result<T, FileError> {
        self.map_err(|source| FileError { action, path: path.to_owned(), source })
    }
}

/// A name of git's below a directory.
pub(crate) fn below(dir: &Path, name: &[u8]) -> PathBuf {
    dir.join(OsStr::from_bytes(name))
}

/// The bytes of a regular file of at most `max` bytes. A symbolic link is not followed, a FIFO is not waited for, and
/// both are "no file" (`None`), as is a file that is missing, unreadable or too large.
pub(crate) fn read_regular(path: &Path, max: u64) -> Option<Vec<u8>> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path).ok()?;
    let meta = file.metadata().ok()?;
    if !meta.is_file() || meta.len() > max {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(max).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Writes a new file; anything that is there already is an error.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let open = || OpenOptions::new().write(true).create_new(true).custom_flags(libc::O_NOFOLLOW).open(path);
    open().and_then(|mut file: File| file.write_all(bytes)).context("write", path)
}

/// Puts a file in place of what was there, so that a reader sees the old one or the new one, whole.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".new-{}", unique()));
    let beside = path.with_file_name(name);
    write_new(&beside, bytes)?;
    std::fs::rename(&beside, path).context("put in place", path)
}

/// Makes a directory with its parents.
pub(crate) fn make_dir(path: &Path) -> Result<(), FileError> {
    std::fs::create_dir_all(path).context("create", path)
}

/// Whether this is a directory itself, not a link to one.
pub(crate) fn is_real_dir(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|meta| meta.is_dir())
}

/// A word that no other process and no other command has.
pub(crate) fn unique() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos());
    format!("{}-{since:x}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Runs file work that may take a while on a thread where waiting is allowed.
pub(crate) async fn off_thread<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> Result<T, FileError> + Send + 'static,
) -> Result<T, FileError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(join) => Err(FileError { action: "work in", path: path.to_owned(), source: io::Error::other(join) }),
    }
}
