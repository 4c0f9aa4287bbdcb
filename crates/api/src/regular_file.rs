//! Opens and reads files by a known name, at which users and agents may have left anything. Only a regular file is opened:
//! opening a FIFO waits for its other end, and reading one may never end.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;

/// Opens a file, or the one that a link names, and does not wait. Replaces the custom flags of `options`.
///
/// # Errors
/// The file cannot be opened, or is not a regular file.
pub fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let file = match options.custom_flags(OFlag::O_NONBLOCK.bits()).open(path) {
        // A FIFO that no process reads, or a socket.
        Err(error) if error.raw_os_error() == Some(Errno::ENXIO as i32) => return Err(not_regular()),
        opened => opened?,
    };
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory));
    }
    if kind.is_file() { Ok(file) } else { Err(not_regular()) }
}

fn not_regular() -> io::Error {
    io::Error::other("it is not a regular file")
}

/// Opens a file to read it; see [`open`].
pub fn open_to_read(path: &Path) -> io::Result<File> {
    open(OpenOptions::new().read(true), path)
}

/// Returns the contents of a file; see [`open`].
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_to_read(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Returns the contents of a file, or `None` if nothing is at the path; see [`open`].
///
/// # Errors
/// Something is there that cannot be read, such as a directory, or a link that leads nowhere.
pub fn read_if_there(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => match path.is_symlink() {
            true => Err(io::Error::new(error.kind(), "it is a link to a file that does not exist")),
            false => Ok(None),
        },
        Err(error) => Err(error),
    }
}

/// Returns the text in a file; see [`open`].
pub fn read_to_string(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    open_to_read(path)?.read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    #[test]
    fn only_regular_files_are_opened() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("file"), "text").unwrap();
        std::os::unix::fs::symlink(path("file"), path("link")).unwrap();
        assert_eq!((read(&path("file")).unwrap(), read(&path("link")).unwrap()), (b"text".to_vec(), b"text".to_vec()));
        mkfifo(&path("pipe"), Mode::S_IRWXU).unwrap();
        let mut write = OpenOptions::new();
        write.write(true).create(true);
        assert!(open(&mut write, &path("pipe")).unwrap_err().to_string().contains("not a regular file"));
        let _reader = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path("pipe")).unwrap();
        assert!(open(&mut write, &path("pipe")).is_err());
        let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
        assert!(open(&mut write, &path("socket")).unwrap_err().to_string().contains("not a regular file"));
        assert!(read(&path("pipe")).unwrap_err().to_string().contains("not a regular file"));
        assert!(read(Path::new("/dev/zero")).is_err());
        assert_eq!(read(directory.path()).unwrap_err().kind(), io::ErrorKind::IsADirectory);
        assert_eq!(read(&path("missing")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn only_nothing_counts_as_absent() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        assert_eq!(read_if_there(&path("missing")).unwrap(), None);
        std::os::unix::fs::symlink(path("missing"), path("dangling")).unwrap();
        std::os::unix::fs::symlink(path("loop"), path("loop")).unwrap();
        fs::create_dir(path("directory")).unwrap();
        fs::write(path("file"), "text").unwrap();
        for name in ["dangling", "loop", "directory", "file/below"] {
            assert!(read_if_there(&path(name)).is_err(), "{name}");
        }
        assert_eq!(read_if_there(&path("file")).unwrap(), Some(b"text".to_vec()));
    }
}
