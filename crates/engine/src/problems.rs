//! Turns what went wrong below, or could surprise, into what a person is told.

use std::fmt::Display;
use std::path::Path;

use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_domain::flow::Refused;
use kugetsu_domain::ids::TaskId;
use kugetsu_domain::reference::IssueRef;
use kugetsu_domain::text::counted;
use kugetsu_store::error::StoreError;

/// How errors of the crates below begin what to do, behind a line's end or a semicolon.
const ADVICE: [&str; 7] = ["check ", "give ", "install ", "run ", "type ", "use ", "write it as "];

/// The request itself is wrong.
pub(crate) fn usage(message: impl Into<String>) -> Problem {
    worded(ProblemKind::Usage, &message.into())
}

/// The identifier of a task, as a request gives it.
pub(crate) fn task_id(text: &str) -> Result<TaskId, Problem> {
    text.parse().map_err(|_| usage(format!("{text:?} is no task identifier")))
}

/// The caller's directory, as a request gives it.
pub(crate) fn absolute(cwd: &str) -> Result<&Path, Problem> {
    match Path::new(cwd) {
        path if path.is_absolute() => Ok(path),
        _ => Err(usage(format!("the directory {cwd:?} is not absolute"))),
    }
}

/// A message that an agent can be told, of at most `max` bytes. `otherwise` is what to do with a longer one.
pub(crate) fn tellable(message: &str, max: usize, otherwise: &str) -> Result<(), Problem> {
    if message.len() > max {
        let said = format!("the message has {} bytes, more than the {max} that fit", message.len());
        return Err(usage(said).hint(otherwise));
    }
    if message.contains('\0') {
        return Err(usage("the message holds a NUL character, which no agent can be told"));
    }
    Ok(())
}

/// Something failed on this side.
pub(crate) fn internal(error: impl Display) -> Problem {
    worded(ProblemKind::Failed, &error.to_string())
}

/// What happened, and apart from it what to do, where the message ends with that.
pub(crate) fn worded(kind: ProblemKind, message: &str) -> Problem {
    let advice = ADVICE.iter().filter_map(|advice| message.find(&format!("; {advice}")).map(|at| (at, at + 2)));
    let line = message.find('\n').map(|at| (at, at + 1));
    match line.or_else(|| advice.min()) {
        Some((end, begin)) => Problem::new(kind, message[..end].trim_end()).hint(message[begin..].trim()),
        None => Problem::new(kind, message),
    }
}

/// An error and its hint, if it has one.
pub(crate) fn problem(kind: ProblemKind, error: impl Display, hint: Option<impl Into<String>>) -> Problem {
    let problem = Problem::new(kind, error.to_string());
    match hint {
        Some(hint) => problem.hint(hint),
        None => problem,
    }
}

/// The store failed.
pub(crate) fn store_failed(error: StoreError) -> Problem {
    problem(ProblemKind::Failed, &error, error.hint())
}

/// A change of an issue that was not stored.
pub(crate) fn not_stored(issue: &IssueRef, error: StoreError) -> Problem {
    let conflict = |message: String| Problem::new(ProblemKind::Conflict, message);
    match error {
        StoreError::IssueBusy { state } => conflict(format!("{issue} already has a task that is {state}")).hint(
            format!("to add to it: kugetsu continue {issue} \"<message>\"; to end it: kugetsu queue cancel {issue}"),
        ),
        StoreError::NothingToContinue(why) => conflict(format!("{issue} has nothing to continue: {why}"))
            .hint(format!("begin afresh with: kugetsu start {issue} \"<message>\"")),
        StoreError::NoSuchIssue => Problem::new(ProblemKind::NotFound, format!("kugetsu has not worked on {issue}"))
            .hint(format!("begin with: kugetsu start {issue} \"<message>\"")),
        StoreError::Refused(Refused::Busy) => conflict(format!("a run is going on for {issue}"))
            .hint(format!("wait for it (kugetsu logs -f {issue}) or end it: kugetsu queue cancel {issue}")),
        StoreError::Refused(Refused::TasksWaiting(count)) => {
            conflict(format!("{issue} has {} in line", counted(count as u64, "task")))
                .hint(format!("to take it out of the line: kugetsu queue cancel {issue}"))
        }
        StoreError::Refused(Refused::BeingDestroyed) => {
            conflict(format!("the files of {issue} are being removed right now"))
                .hint(format!("try again when they are gone: kugetsu list --all shows {issue} as destroyed then"))
        }
        StoreError::Refused(why) => conflict(format!("{issue}: {why}")),
        error @ (StoreError::Damaged { .. } | StoreError::DiskFull | StoreError::Database(_) | StoreError::Closed) => {
            store_failed(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_is_told_apart_from_what_happened() {
        for (message, said, hint) in [
            (
                "cannot read it: it is empty; write it as a/b#1",
                "cannot read it: it is empty",
                Some("write it as a/b#1"),
            ),
            (
                "could not reach x: fatal: y\ncheck the network",
                "could not reach x: fatal: y",
                Some("check the network"),
            ),
            ("no such folder; check the path", "no such folder", Some("check the path")),
            ("no agent \"x\"; there is opencode", "no agent \"x\"; there is opencode", None),
        ] {
            let problem = usage(message);
            assert_eq!((problem.message.as_str(), problem.hint.as_deref()), (said, hint));
        }
    }
}
