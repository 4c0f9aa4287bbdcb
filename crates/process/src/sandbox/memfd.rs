//! A file that lies in memory and has no name.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::{FromRawFd, OwnedFd};

use nix::errno::Errno;

/// An empty one. Not inherited.
pub(super) fn file() -> io::Result<File> {
    // SAFETY: the name is static and ends with a zero byte; the answer is a new descriptor of ours.
    unsafe {
        let fd = Errno::result(libc::memfd_create(c"kugetsu-cage".as_ptr(), libc::MFD_CLOEXEC))?;
        Ok(OwnedFd::from_raw_fd(fd).into())
    }
}

/// One that holds `bytes`, to be read from its beginning.
pub(super) fn holding(bytes: &[u8]) -> io::Result<File> {
    let mut file = file()?;
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}
