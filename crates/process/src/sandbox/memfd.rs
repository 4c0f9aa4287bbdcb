//! Files in memory, without a name.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::{FromRawFd, OwnedFd};

use nix::errno::Errno;

/// Creates an empty one, which children do not inherit.
pub(super) fn create() -> io::Result<File> {
    // SAFETY: the name is static and ends with a zero byte; the result is a new descriptor that this process owns.
    unsafe {
        let fd = Errno::result(libc::memfd_create(c"kugetsu-sandbox".as_ptr(), libc::MFD_CLOEXEC))?;
        Ok(OwnedFd::from_raw_fd(fd).into())
    }
}

/// Creates one with this content, positioned at its beginning.
pub(super) fn with_content(bytes: &[u8]) -> io::Result<File> {
    let mut file = create()?;
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}
