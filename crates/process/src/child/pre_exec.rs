//! Isolates a child from this process: a session of its own, default signal handling, and no inherited descriptor but
//! the standard three.
//!
//! The code here runs between fork and exec, where only async-signal-safe calls are allowed: no allocation, no locks.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Upper bound of the descriptors that are marked one by one where the kernel lacks `close_range`.
const MAX_FD: libc::c_int = 65_536;
const LAST_SIGNAL: libc::c_int = 64;

/// Makes `command` start its child in a new session (so without a controlling terminal, and as the leader of a process
/// group), with default signal handling and without this process's descriptors.
pub(crate) fn isolate(command: &mut Command) {
    // SAFETY: the hook makes system calls only; it neither allocates nor takes a lock.
    unsafe { command.pre_exec(prepare) };
}

fn prepare() -> io::Result<()> {
    reset_signals();
    close_on_exec();
    leave_no_core();
    // SAFETY: no arguments, no memory. It fails only for a group leader, which a forked child is not.
    if unsafe { libc::setsid() } == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A crash leaves no file with the memory of the process, unless a program raises the soft limit again.
fn leave_no_core() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel reads and writes `limit` only.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_CORE, &raw mut limit) == 0 {
            limit.rlim_cur = 0;
            libc::setrlimit(libc::RLIMIT_CORE, &raw const limit);
        }
    }
}

/// Ignored signals and the signal mask survive exec. If a parent of this process ignored SIGPIPE or SIGTERM, the child's
/// tools would never see them.
fn reset_signals() {
    for signal in 1..=LAST_SIGNAL {
        // SAFETY: SIG_DFL needs no handler; the kernel rejects numbers that are not signals.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    reset_reserved_signals();
    // SAFETY: `empty` is initialized by sigemptyset before it is read.
    unsafe {
        let mut empty = std::mem::zeroed();
        libc::sigemptyset(&raw mut empty);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const empty, std::ptr::null_mut());
    }
}

/// The C library reserves signals 32 and 33 and refuses to change them, but they may have been inherited as ignored. So
/// this calls the kernel directly.
#[cfg(target_os = "linux")]
fn reset_reserved_signals() {
    /// At least as long as the kernel's `sigaction`; all zeros mean "default".
    const DEFAULT: [u64; 8] = [0; 8];
    /// Size of the kernel's set of 64 signals in bytes.
    const SET: libc::size_t = 8;
    let no_old_action: *mut u64 = std::ptr::null_mut();
    for signal in [32, 33] {
        // SAFETY: the kernel reads `DEFAULT`, which is static, and writes nothing.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, DEFAULT.as_ptr(), no_old_action, SET) };
    }
}

#[cfg(not(target_os = "linux"))]
fn reset_reserved_signals() {}

/// Marks all descriptors above 2 as close-on-exec. Closing them now would also close the pipe by which the standard
/// library reports a failed exec.
fn close_on_exec() {
    if mark_range() {
        return;
    }
    // SAFETY: plain calls on numbers; a number that is not a descriptor is rejected.
    unsafe {
        // -1 means that there is no limit.
        let open_max = libc::sysconf(libc::_SC_OPEN_MAX);
        let end = libc::c_int::try_from(open_max).ok().filter(|max| (3..MAX_FD).contains(max)).unwrap_or(MAX_FD);
        for fd in 3..end {
            libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
        }
    }
}

#[cfg(target_os = "linux")]
fn mark_range() -> bool {
    // SAFETY: all arguments are numbers.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn mark_range() -> bool {
    false
}
