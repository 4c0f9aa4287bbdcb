//! Describes how a process ended.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use nix::sys::signal::Signal;

/// How shells and sandboxes report that a signal ended their child: this number and the signal's.
const BY_SIGNAL: i32 = 128;

/// Whether a signal ended the process, or its child.
pub(crate) fn was_killed(status: ExitStatus) -> bool {
    signal_of(status).is_some()
}

/// Whether SIGKILL ended the process, or its child.
pub(crate) fn is_kill(status: ExitStatus) -> bool {
    signal_of(status) == Some(Signal::SIGKILL as i32)
}

fn signal_of(status: ExitStatus) -> Option<i32> {
    status.signal().or_else(|| by_child(status))
}

/// The signal that ended its child.
fn by_child(status: ExitStatus) -> Option<i32> {
    status.code().map(|code| code - BY_SIGNAL).filter(|number| Signal::try_from(*number).is_ok())
}

/// Returns the exit code or the signal, as the end of a sentence, with a possible cause that the status alone does not name.
pub(crate) fn describe(status: ExitStatus) -> String {
    let cause = match signal_of(status) {
        Some(_) if is_kill(status) => "; if you did not kill it, the machine may have run out of memory",
        _ => "",
    };
    match (status.signal(), status.code()) {
        (Some(number), _) => format!("it was killed by {}{cause}", signal(number)),
        (None, Some(code)) => match by_child(status) {
            Some(number) => format!("its exit code is {code}, {}{cause}", signal(number)),
            None => format!("its exit code is {code}"),
        },
        (None, None) => "its exit status is unknown".to_owned(),
    }
}

fn signal(number: i32) -> String {
    match Signal::try_from(number) {
        Ok(signal) => format!("signal {number} ({signal})"),
        Err(_) => format!("signal {number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_and_signals_are_named() {
        let status = |raw| describe(ExitStatus::from_raw(raw));
        assert_eq!(
            status(9),
            "it was killed by signal 9 (SIGKILL); if you did not kill it, the machine may have run out of memory"
        );
        assert_eq!(status(11), "it was killed by signal 11 (SIGSEGV)");
        assert_eq!(status(3 << 8), "its exit code is 3");
        assert_eq!(status(0), "its exit code is 0");
        assert!(status(137 << 8).starts_with("its exit code is 137, signal 9 (SIGKILL)"));
    }
}
