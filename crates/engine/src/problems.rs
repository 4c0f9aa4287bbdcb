//! Maps errors of the crates below to the problems that requests return.

use std::fmt::Display;
use std::path::Path;

use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_domain::flow::Refused;
use kugetsu_domain::ids::TaskId;
use kugetsu_domain::reference::IssueRef;
use kugetsu_domain::text::counted;
use kugetsu_store::error::StoreError;

/// The request is wrong.
pub(crate) fn usage(message: impl Into<String>) -> Problem {
    Problem::new(ProblemKind::Usage, message)
}

/// Parses the task id of a request.
pub(crate) fn task_id(text: &str) -> Result<TaskId, Problem> {
    text.parse().map_err(|_| usage(format!("{text:?} is not a task id")))
}

/// Checks the caller's directory.
pub(crate) fn absolute(cwd: &str) -> Result<&Path, Problem> {
    match Path::new(cwd) {
        path if path.is_absolute() => Ok(path),
        _ => Err(usage(format!("the directory {cwd:?} is not absolute"))),
    }
}

/// Checks a message for an agent, of at most `max` bytes. `hint` says what to do with a longer one.
pub(crate) fn check_message(message: &str, max: usize, hint: &str) -> Result<(), Problem> {
    if message.len() > max {
        let error = format!("the message has {} bytes; the maximum is {max}", message.len());
        return Err(usage(error).hint(hint));
    }
    if message.contains('\0') {
        return Err(usage("the message contains a NUL character"));
    }
    Ok(())
}

/// Something failed in the daemon.
pub(crate) fn internal(error: impl Display) -> Problem {
    Problem::new(ProblemKind::Failed, error.to_string())
}

/// Returns the problem of an error, with its hint.
pub(crate) fn problem(kind: ProblemKind, error: impl Display, hint: Option<impl Into<String>>) -> Problem {
    let problem = Problem::new(kind, error.to_string());
    match hint {
        Some(hint) => problem.hint(hint),
        None => problem,
    }
}

/// No watch has this name.
pub(crate) fn no_watch(name: &str) -> Problem {
    Problem::new(ProblemKind::NotFound, format!("no watch {name:?}"))
        .hint("list the watches with `kugetsu watch list`, or add one with `kugetsu watch add <repo>`")
}

/// The store failed.
pub(crate) fn store_failed(error: StoreError) -> Problem {
    problem(ProblemKind::Failed, &error, error.hint())
}

/// An event on an issue was not stored.
pub(crate) fn not_stored(issue: &IssueRef, error: StoreError) -> Problem {
    let conflict = |message: String| Problem::new(ProblemKind::Conflict, message);
    match error {
        StoreError::IssueBusy { state } => conflict(format!("{issue} already has a {state} task")).hint(format!(
            "add to it with `kugetsu continue {issue} \"<message>\"`, or cancel it with `kugetsu queue cancel {issue}`"
        )),
        StoreError::Known => conflict(format!("kugetsu knows {issue} already")),
        StoreError::NothingToContinue(why) => conflict(format!("{issue} has nothing to continue: {why}"))
            .hint(format!("start it again with `kugetsu start {issue} \"<message>\"`")),
        StoreError::NoSuchIssue => Problem::new(ProblemKind::NotFound, format!("kugetsu has not worked on {issue}"))
            .hint(format!("start it with `kugetsu start {issue} \"<message>\"`")),
        StoreError::Refused(Refused::Busy) => conflict(format!("{issue} has a run in progress")).hint(format!(
            "wait for its end with `kugetsu logs -f {issue}`, or cancel it with `kugetsu queue cancel {issue}`"
        )),
        StoreError::Refused(Refused::TasksWaiting(count)) => {
            conflict(format!("{issue} has {}", counted(count as u64, "queued task")))
                .hint(format!("cancel it with `kugetsu queue cancel {issue}`"))
        }
        StoreError::Refused(Refused::BeingDestroyed) => conflict(format!("the files of {issue} are being removed"))
            .hint(format!("try again when `kugetsu list --all` shows {issue} as destroyed")),
        StoreError::Refused(why) => conflict(format!("{issue}: {why}")),
        error @ (StoreError::Damaged { .. }
        | StoreError::Unstorable(_)
        | StoreError::DiskFull
        | StoreError::Database(_)
        | StoreError::Lost { .. }
        | StoreError::Closed) => store_failed(error),
    }
}
