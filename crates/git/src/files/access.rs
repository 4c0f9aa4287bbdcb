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
/// missing, unreadable or larger. Only where each of these means the same.
pub(crate) fn read_regular(path: &Path, max: u64) -> Option<Vec<u8>> {
    read_if_there(path, max).ok().flatten()
}

/// Opens whatever is at a path, to read it. Links are not followed, and the other end of a FIFO is not waited for.
pub(crate) fn open_unfollowed(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)
}

/// Opens a regular file. Links are not followed.
pub(crate) fn open_regular(path: &Path) -> Option<File> {
    let file = open_unfollowed(path).ok()?;
    file.metadata().is_ok_and(|meta| meta.is_file()).then_some(file)
}

/// As [`read_regular`], but what is there and cannot be read is an error, and so is a file of more than `max` bytes. `None`
/// where nothing is, or something else than a file: git reads neither.
pub(crate) fn read_if_there(path: &Path, max: u64) -> Result<Option<Vec<u8>>, FileError> {
    Ok(read_with_time(path, max)?.map(|(bytes, _)| bytes))
}

/// As [`read_if_there`], with the modification time that the file had before.
pub(crate) fn read_with_time(path: &Path, max: u64) -> Result<Option<(Vec<u8>, SystemTime)>, FileError> {
    let open = open_unfollowed(path);
    let file = match open {
        Ok(file) => file,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(error).context("read", path),
    };
    let meta = file.metadata().context("read", path)?;
    if !meta.is_file() {
        return Ok(None);
    }
    let too_large = || io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {max} bytes"));
    if meta.len() > max {
        return Err(too_large()).context("read", path);
    }
    let mut bytes = Vec::new();
    file.take(max.saturating_add(1)).read_to_end(&mut bytes).context("read", path)?;
    if bytes.len() as u64 > max {
        return Err(too_large()).context("read", path);
    }
    Ok(Some((bytes, meta.modified().context("read", path)?)))
}

/// The entries of a directory, sorted by name. `None` where nothing is, or something else than a directory.
pub(crate) fn read_dir_if_there(path: &Path) -> Result<Option<Vec<PathBuf>>, FileError> {
    match path.symlink_metadata() {
        Ok(meta) if meta.is_dir() => {}
        Ok(_) => return Ok(None),
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(error).context("read", path),
    }
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(error).context("read", path),
    };
    let mut paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>();
    if let Ok(paths) = &mut paths {
        paths.sort();
    }
    paths.map(Some).context("read", path)
}

/// Whether something is at a path; a link counts as something. Unlike [`Path::exists`], what cannot be found out is an error.
pub(crate) fn is_there(path: &Path) -> Result<bool, FileError> {
    Ok(file_type(path)?.is_some())
}

/// Whether the path itself is a directory; a link to one is not. Unlike [`is_real_dir`], what cannot be found out is an error.
pub(crate) fn is_dir_there(path: &Path) -> Result<bool, FileError> {
    Ok(file_type(path)?.is_some_and(|file_type| file_type.is_dir()))
}

fn file_type(path: &Path) -> Result<Option<std::fs::FileType>, FileError> {
    match path.symlink_metadata() {
        Ok(meta) => Ok(Some(meta.file_type())),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error).context("read", path),
    }
}

/// The path without links; `None` where nothing is.
pub(crate) fn canonical_if_there(path: &Path) -> Result<Option<PathBuf>, FileError> {
    match path.canonicalize() {
        Ok(path) => Ok(Some(path)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error).context("read", path),
    }
}

/// Whether nothing is at a path, or something that was not opened on purpose: a link or a socket.
fn is_absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || matches!(error.raw_os_error(), Some(libc::ENOTDIR | libc::ELOOP | libc::ENXIO))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unreadable_is_not_absent() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("file"), "12345").unwrap();
        std::os::unix::fs::symlink("file", path("link")).unwrap();
        nix::unistd::mkfifo(&path("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        for absent in ["none", "link", "fifo", "file/below", "."] {
            assert_eq!(read_if_there(&path(absent), 5).unwrap(), None, "{absent}");
        }
        assert_eq!(read_if_there(&path("file"), 5).unwrap().as_deref(), Some(b"12345".as_slice()));
        assert!(read_if_there(&path("file"), 4).unwrap_err().to_string().contains("more than 4 bytes"));
        // A regular file that fails to be read.
        #[cfg(target_os = "linux")]
        assert!(read_if_there(Path::new("/proc/self/mem"), 5).is_err());
        assert_eq!(read_dir_if_there(&path("link")).unwrap(), None);
        assert_eq!(read_dir_if_there(dir.path()).unwrap().unwrap().len(), 3);
    }
}
