//! File descriptors that a child inherits, and those that it must not.

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

/// Where there is no way to close all, how many are looked at.
const LOOKED_AT: RawFd = 1024;

/// Lets nothing but stdin, stdout, stderr and `kept` reach the program that is executed next. A daemon that kept a
/// descriptor of the shell that happened to start it would hold that shell's pipes and locks for ever.
///
/// Only for the moment between fork and exec: it calls what is async-signal-safe only, and takes no memory.
pub(crate) fn inherit_only(kept: RawFd) -> io::Result<()> {
    close_all_on_exec();
    // SAFETY: the caller passes a descriptor that it holds open.
    #[expect(unsafe_code, reason = "a number is turned into a borrowed descriptor")]
    let kept = unsafe { BorrowedFd::borrow_raw(kept) };
    fcntl(kept, FcntlArg::F_SETFD(FdFlag::empty()))?;
    Ok(())
}

/// The descriptor of this number, which the parent handed down.
///
/// # Errors
/// There is none, or it is one that the process uses already.
pub(crate) fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    if number <= libc::STDERR_FILENO {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: only used for the question whether it is open, which fails for a closed one.
    #[expect(unsafe_code, reason = "a number from the command line is turned into a descriptor")]
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    fcntl(borrowed, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    // SAFETY: it is open, and this is called before anything else could have opened one of this number.
    #[expect(unsafe_code, reason = "as above; from here on it is owned")]
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

fn close_all_on_exec() {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: a system call that takes numbers only (close_range(2), Linux 5.11 for this flag).
        #[expect(unsafe_code, reason = "no safe wrapper")]
        let answer = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
        if answer == 0 {
            return;
        }
    }
    for number in 3..LOOKED_AT {
        // SAFETY: a closed descriptor makes the call fail, which is as good.
        #[expect(unsafe_code, reason = "a number is turned into a borrowed descriptor")]
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        // Most of them are not open.
        let _ = fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC));
    }
}
