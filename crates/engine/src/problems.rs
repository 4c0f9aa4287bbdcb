//! Turns what went wrong below, or could surprise, into what a person is told.

use std::fmt::Display;

use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_domain::counted::counted;
use kugetsu_domain::flow::Refused;
use kugetsu_domain::reference::IssueRef;
use kugetsu_store::error::StoreError;

/// The request itself is wrong.
pub(crate) fn usage(message: impl Into<String>) -> Problem {
    Problem::new(ProblemKind::Usage, message)
}

/// Something failed on this side.
pub(crate) fn internal(error: impl Display) -> Problem {
    Problem::new(ProblemKind::Failed, error.to_string())
}

/// A change of an issue that was not stored.
pub(crate) fn not_stored(issue: &IssueRef, error: StoreError) -> Problem {
    let conflict = |message: String| Problem::new(ProblemKind::Conflict, message);
    match error {
        StoreError::IssueBusy { state } => conflict(format!("{issue} already has a task that is {state}")).hint(
            format!("to add to it: kugetsu continue {issue} \"<message>\"; to end it: kugetsu queue cancel {issue}"),
        ),
        StoreError::NothingToContinue(why) => conflict(format!("{issue} has nothing to continue: {why}")),
        StoreError::NoSuchIssue => Problem::new(ProblemKind::NotFound, format!("kugetsu has not worked on {issue}"))
            .hint(format!("begin with: kugetsu start {issue} \"<message>\"")),
        StoreError::Refused(Refused::Busy) => conflict(format!("a run is going on for {issue}"))
            .hint(format!("wait for it (kugetsu logs -f {issue}) or end it: kugetsu queue cancel {issue}")),
        StoreError::Refused(Refused::TasksWaiting(count)) => {
            conflict(format!("{issue} has {count} tasks in the queue"))
                .hint(format!("take them out: kugetsu queue cancel {issue}"))
        }
        StoreError::Refused(Refused::BeingDestroyed) => {
            conflict(format!("the files of {issue} are being removed right now")).hint("try again when they are gone")
        }
        StoreError::Refused(why) => conflict(format!("{issue}: {why}")),
        error @ (StoreError::Damaged { .. } | StoreError::DiskFull | StoreError::Database(_) | StoreError::Closed) => {
            internal(error)
        }
    }
}

/// What to tell of changes in a repository that are in no commit.
pub(crate) fn not_taken_along(files: usize, place: &str) -> String {
    let changed = counted(files as u64, "changed file");
    format!("{changed} in {place} not committed: the agent begins from the last commit and does not see that")
}
