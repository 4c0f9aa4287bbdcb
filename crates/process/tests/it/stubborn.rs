//! Processes that are hard to end. This test program plays them itself.

use std::time::{Duration, Instant};

/// The variable that selects one.
pub(crate) const ROLE: &str = "KUGETSU_TEST_ROLE";
pub(crate) const TEST: &str = "it::stubborn::play";

/// They end by themselves after this time, in case the code under test fails.
const LIFETIME: Duration = Duration::from_secs(90);

#[test]
#[ignore = "run by other tests"]
fn play() {
    match std::env::var(ROLE).as_deref() {
        Ok("fork_chains") => fork_chains(),
        Ok("fork_flood") => fork_flood(),
        role => panic!("unknown role: {role:?}"),
    }
}

/// Eight chains of processes. Each link moves to a session of its own, forks the next link and ends, so any listing is out
/// of date when it is complete. Every 32nd link also leaves a sleeping process behind.
fn fork_chains() -> ! {
    let end = Instant::now() + LIFETIME;
    for _ in 0..7 {
        if fork_is_child() {
            break;
        }
    }
    let mut link = 0_u32;
    while Instant::now() < end {
        if !fork_is_child() {
            exit_now();
        }
        new_session();
        link += 1;
        if link.is_multiple_of(32) && fork_is_child() {
            sleep_ignoring_sigterm();
        }
    }
    exit_now()
}

/// Forks as fast as it can: 400 children that ignore SIGTERM in sessions of their own, which leaves the machine usable, and
/// then children that end at once.
fn fork_flood() -> ! {
    let end = Instant::now() + LIFETIME;
    for _ in 0..400 {
        if fork_is_child() {
            new_session();
            sleep_ignoring_sigterm();
        }
    }
    while Instant::now() < end {
        if fork_is_child() {
            exit_now();
        }
        // SAFETY: reaps any child of this process, and no other code waits for one.
        unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) };
    }
    exit_now()
}

fn fork_is_child() -> bool {
    // SAFETY: the child only makes system calls.
    unsafe { libc::fork() == 0 }
}

fn new_session() {
    // SAFETY: no arguments.
    unsafe { libc::setsid() };
}

fn sleep_ignoring_sigterm() -> ! {
    // SAFETY: plain calls.
    unsafe {
        libc::signal(libc::SIGTERM, libc::SIG_IGN);
        libc::alarm(90);
        loop {
            libc::pause();
        }
    }
}

fn exit_now() -> ! {
    // SAFETY: ends this process without running code of the test harness.
    unsafe { libc::_exit(0) }
}
