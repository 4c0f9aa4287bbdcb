//! Exit codes. They are a contract with scripts and never change; `kugetsu help exit-codes` documents them.

use std::process::ExitCode;

use kugetsu_api::problem::ProblemKind;
use kugetsu_domain::task::TaskState;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Done = 0,
    Failed = 1,
    /// The command line is wrong, or names something that does not exist.
    Usage = 2,
    /// The user has to decide or help.
    NeedsPerson = 3,
    /// All slots are in use and `--no-queue` was given. `EX_TEMPFAIL` of sysexits.h: try again later.
    Full = 75,
    /// A time limit ended the run. The exit code of timeout(1).
    Timeout = 124,
    /// The run was canceled, or waiting for it was interrupted. The exit code of a shell after SIGINT.
    Canceled = 130,
}

impl Exit {
    /// The exit code of `--wait` for a task that ended in this state. States that are not final have ended nothing.
    pub(crate) const fn of_state(state: TaskState) -> Self {
        match state {
            TaskState::Queued | TaskState::Running | TaskState::Done => Self::Done,
            TaskState::Blocked => Self::NeedsPerson,
            TaskState::Failed => Self::Failed,
            TaskState::Timeout => Self::Timeout,
            TaskState::Canceled => Self::Canceled,
        }
    }

    /// The exit code of a request that the daemon rejected.
    pub(crate) const fn of_problem(kind: ProblemKind) -> Self {
        match kind {
            ProblemKind::Usage | ProblemKind::NotFound => Self::Usage,
            ProblemKind::Conflict | ProblemKind::Forbidden | ProblemKind::Failed => Self::Failed,
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
        let states = [TaskState::Done, TaskState::Blocked, TaskState::Failed, TaskState::Timeout, TaskState::Canceled];
        assert_eq!(states.map(|state| Exit::of_state(state) as u8), [0, 3, 1, 124, 130]);
        let kinds = [
            ProblemKind::Usage,
            ProblemKind::NotFound,
            ProblemKind::Conflict,
            ProblemKind::Forbidden,
            ProblemKind::Full,
            ProblemKind::NeedsPerson,
            ProblemKind::Failed,
        ];
        assert_eq!(kinds.map(|kind| Exit::of_problem(kind) as u8), [2, 2, 1, 1, 75, 3, 1]);
    }
}
