//! Processes that are hard to end, played by this test program itself.

use std::time::{Duration, Instant};

/// Says which part to play.
pub(crate) const PART: &str = "KUGETSU_TEST_PART";
pub(crate) const TEST: &str = "it::bad::play";

/// If the code under test fails, these must end all the same.
const LIFE: Duration = Duration::from_secs(90);

#[test]
#[ignore = "played by other tests"]
fn play() {
    match std::env::var(PART).as_deref() {
        Ok("hop") => hop(),
        Ok("breed") => breed(),
        part => panic!("no such part: {part:?}"),
    }
}

/// Eight chains: each link leaves for a session of its own, starts the next link and ends. Every 32nd link also leaves
/// somebody behind who sleeps. At any time, a listing is out of date.
fn hop() -> ! {
    let end = Instant::now() + LIFE;
    for _ in 0..7 {
        if forked() {
            break;
        }
    }
    let mut link = 0_u32;
    while Instant::now() < end {
        if !forked() {
            end_now();
        }
        set_apart();
        link += 1;
        if link.is_multiple_of(32) && forked() {
            sleep_deaf();
        }
    }
    end_now()
}

/// Starts children that ignore SIGTERM, each in a session of its own, as fast as it can, but leaves the machine usable.
fn breed() -> ! {
    let end = Instant::now() + LIFE;
    for _ in 0..400 {
        if forked() {
            set_apart();
            sleep_deaf();
        }
    }
    while Instant::now() < end {
        if forked() {
            end_now();
        }
        // SAFETY: reaps any child of this process, which nobody else waits for.
        unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) };
    }
    end_now()
}

/// Whether this is the child.
fn forked() -> bool {
    // SAFETY: the child goes on with system calls only.
    unsafe { libc::fork() == 0 }
}

fn set_apart() {
    // SAFETY: takes nothing.
    unsafe { libc::setsid() };
}

fn sleep_deaf() -> ! {
    // SAFETY: plain calls.
    unsafe {
        libc::signal(libc::SIGTERM, libc::SIG_IGN);
        libc::alarm(90);
        loop {
            libc::pause();
        }
    }
}

fn end_now() -> ! {
    // SAFETY: ends this process without running anything of the test harness.
    unsafe { libc::_exit(0) }
}
