//! Results of continuous integration for a commit.

/// All that a server knows about the checks of one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CiStatus {
    pub checks: Vec<Check>,
}

/// One check: a status, a check run or a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub name: String,
    pub state: CheckState,
    /// Its page.
    pub url: Option<String>,
    /// For [`Forge::job_log`](crate::forge::Forge::job_log); `None` if it has no log that the API serves.
    pub job: Option<String>,
    /// The server's text about its result; may be empty.
    pub summary: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckState {
    /// Waits or runs, or in a state that this version does not know: nothing unknown counts as passed.
    Pending,
    Success,
    Failure,
    /// Skipped or neutral: it does not decide about the others.
    Skipped,
}

/// The verdict over all checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CiVerdict {
    /// Nothing is reported, which right after a push means that it is too early.
    None,
    Pending,
    Success,
    Failure,
}

impl CiStatus {
    /// A failure counts at once; success only when every check has ended. Checks that were all skipped are one, as servers that
    /// require them count it.
    pub fn verdict(&self) -> CiVerdict {
        let has = |state: CheckState| self.checks.iter().any(|check| check.state == state);
        if has(CheckState::Failure) {
            CiVerdict::Failure
        } else if has(CheckState::Pending) {
            CiVerdict::Pending
        } else if self.checks.is_empty() {
            CiVerdict::None
        } else {
            CiVerdict::Success
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ended_checks_without_a_failure_are_a_success() {
        let verdict = |states: &[CheckState]| {
            let check = |state: &CheckState| Check {
                name: "test".to_owned(),
                state: *state,
                url: None,
                job: None,
                summary: String::new(),
            };
            CiStatus { checks: states.iter().map(check).collect() }.verdict()
        };
        use CheckState::{Failure, Pending, Skipped, Success};
        assert_eq!(verdict(&[]), CiVerdict::None);
        assert_eq!(verdict(&[Skipped]), CiVerdict::Success);
        assert_eq!(verdict(&[Success, Skipped]), CiVerdict::Success);
        assert_eq!(verdict(&[Success, Pending]), CiVerdict::Pending);
        assert_eq!(verdict(&[Success, Pending, Failure]), CiVerdict::Failure);
    }
}
