//! Exit codes, for scripts. They never change their meaning.

use std::process::ExitCode;

use kugetsu_api::problem::ProblemKind;
use kugetsu_api::run::State;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done, or what was asked for is shown.
    Done = 0,
    /// It went wrong.
    Failed = 1,
    /// The command itself is wrong, or names something that is not there.
    Usage = 2,
    /// A person has to decide or help.
    NeedsPerson = 3,
    /// Every place is taken and `--no-queue` was given (`EX_TEMPFAIL` of sysexits.h: try again later).
    Full = 75,
    /// A time limit ended the run, as timeout(1) says it.
    Timeout = 124,
    /// Canceled, or interrupted while waiting, as a shell says it of SIGINT.
    Canceled = 130,
}

impl Exit {
    /// The exit code after waiting for a task that ended so. One that goes on was not waited for.
    pub(crate) const fn of_state(state: State) -> Self {
        match state {
            State::Queued | State::Running | State::Done => Self::Done,
            State::Blocked => Self::NeedsPerson,
            State::Failed => Self::Failed,
            State::Timeout => Self::Timeout,
            State::Canceled => Self::Canceled,
        }
    }

    /// The exit code of a refusal.
    pub(crate) const fn of_problem(kind: ProblemKind) -> Self {
        match kind {
            ProblemKind::Usage | ProblemKind::NotFound => Self::Usage,
            ProblemKind::Conflict | ProblemKind::Failed => Self::Failed,
            ProblemKind::Full => Self::Full,
            ProblemKind::NeedsPerson => Self::NeedsPerson,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_what_scripts_rely_on() {
        let states = [State::Done, State::Blocked, State::Failed, State::Timeout, State::Canceled];
        assert_eq!(states.map(|state| Exit::of_state(state) as u8), [0, 3, 1, 124, 130]);
        let kinds = [
            ProblemKind::Usage,
            ProblemKind::NotFound,
            ProblemKind::Conflict,
            ProblemKind::Full,
            ProblemKind::NeedsPerson,
            ProblemKind::Failed,
        ];
        assert_eq!(kinds.map(|kind| Exit::of_problem(kind) as u8), [2, 2, 1, 75, 3, 1]);
    }
}
