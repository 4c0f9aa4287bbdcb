//! A fresh start for a child: its own session, default signals, no descriptor beyond its standard three.
//!
//! What runs here runs between fork and exec, where only async-signal-safe calls are allowed: no allocation, no locks.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Descriptors above this are not looked at where the kernel cannot mark a whole range at once.
const LOOKED_AT: libc::c_int = 65_536;
const LAST_SIGNAL: libc::c_int = 64;

/// Makes `command` start its child in a session of its own (so no controlling terminal and a group of its own), with
/// default signal handling and without any of our descriptors.
pub(crate) fn isolate(command: &mut Command) {
    // SAFETY: the hook makes system calls only; it neither allocates nor takes a lock.
    unsafe { command.pre_exec(prepare) };
}

fn prepare() -> io::Result<()> {
    default_signals();
    close_on_exec();
    // SAFETY: no arguments, no memory. It fails only for a group leader, which a forked child is not.
    if unsafe { libc::setsid() } == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// An ignored signal stays ignored through exec, and so does the mask: a tool that never sees SIGPIPE or SIGTERM
/// because some parent of ours ignored it would be our fault.
fn default_signals() {
    for signal in 1..=LAST_SIGNAL {
        // SAFETY: SIG_DFL needs no handler; numbers that are no signal are refused by the kernel.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    default_reserved_signals();
    // SAFETY: `none` is ours and initialised by sigemptyset before it is read.
    unsafe {
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// The C library keeps 32 and 33 to itself and refuses to touch them, but whoever started us may have ignored them.
#[cfg(target_os = "linux")]
fn default_reserved_signals() {
    /// The kernel's own `sigaction` is at most this long; all zero it says "default".
    const DEFAULT: [u64; 8] = [0; 8];
    /// Bytes of the kernel's set of 64 signals.
    const SET: libc::size_t = 8;
    let unwanted: *mut u64 = std::ptr::null_mut();
    for signal in [32, 33] {
        // SAFETY: the kernel reads `DEFAULT`, which lives for ever, and writes nothing.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, DEFAULT.as_ptr(), unwanted, SET) };
    }
}

#[cfg(not(target_os = "linux"))]
fn default_reserved_signals() {}

/// Marks, not closes: exec's own error pipe must stay open until exec.
fn close_on_exec() {
    if mark_range() {
        return;
    }
    // SAFETY: plain calls on numbers; a number that is no descriptor is refused.
    unsafe {
        // -1: no limit.
        let open_max = libc::sysconf(libc::_SC_OPEN_MAX);
        for fd in
            3..libc::c_int::try_from(open_max).ok().filter(|max| (3..LOOKED_AT).contains(max)).unwrap_or(LOOKED_AT)
        {
            libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
        }
    }
}

#[cfg(target_os = "linux")]
fn mark_range() -> bool {
    // SAFETY: takes three numbers.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn mark_range() -> bool {
    false
}
