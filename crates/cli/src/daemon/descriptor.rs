//! Which file descriptors a child process inherits.

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

/// Without `close_range`, only descriptors below this number are closed.
const FALLBACK_MAX: RawFd = 1024;

/// Closes every descriptor except stdin, stdout, stderr and `kept` on the next exec. A daemon that kept a descriptor of
/// the shell that started it would hold that shell's pipes and locks for as long as it runs.
///
/// Safe between fork and exec: it only makes async-signal-safe calls and does not allocate.
pub(crate) fn inherit_only(kept: RawFd) -> io::Result<()> {
    close_all_on_exec();
    // SAFETY: the caller passes a descriptor that it holds open.
    #[expect(unsafe_code, reason = "a number is turned into a borrowed descriptor")]
    let kept = unsafe { BorrowedFd::borrow_raw(kept) };
    fcntl(kept, FcntlArg::F_SETFD(FdFlag::empty()))?;
    Ok(())
}

/// Takes ownership of a descriptor that the parent process passed on.
///
/// # Errors
/// `EBADF` if it is not open, or is stdin, stdout or stderr.
pub(crate) fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    if number <= libc::STDERR_FILENO {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: only used to check whether it is open; the call fails for a closed one.
    #[expect(unsafe_code, reason = "a number from the command line is turned into a descriptor")]
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    fcntl(borrowed, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    // SAFETY: it is open, and this runs before the process could have opened another descriptor of this number.
    #[expect(unsafe_code, reason = "a number from the command line becomes an owned descriptor")]
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

fn close_all_on_exec() {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: close_range(2) takes integers only. The flag needs Linux 5.11; older kernels return an error.
        #[expect(unsafe_code, reason = "no safe wrapper")]
        let answer = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
        if answer == 0 {
            return;
        }
    }
    for number in 3..FALLBACK_MAX {
        // SAFETY: the call fails for a closed descriptor, which is harmless.
        #[expect(unsafe_code, reason = "a number is turned into a borrowed descriptor")]
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        // Fails for the many that are not open.
        let _ = fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC));
    }
}
