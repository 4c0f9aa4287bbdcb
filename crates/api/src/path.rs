//! Where each thing is asked for. Server and client both take the paths from here.

use std::fmt::Display;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The daemon itself.
pub const STATUS: &str = "/v1/status";
/// What is wrong with the stored facts: a list of sentences, empty when nothing is.
pub const CHECK: &str = "/v1/check";
/// Ask the daemon to end; runs go on.
pub const STOP: &str = "/v1/stop";
/// Read the settings again.
pub const RELOAD: &str = "/v1/reload";
/// `POST`: queue a task. `GET`: the queue.
pub const TASKS: &str = "/v1/tasks";
/// One task.
pub const TASK: &str = "/v1/tasks/{task}";
/// Ask for a task's end.
pub const TASK_CANCEL: &str = "/v1/tasks/{task}/cancel";
/// Try an ended task again.
pub const TASK_RETRY: &str = "/v1/tasks/{task}/retry";
/// Remove ended tasks that are older than an age.
pub const TASKS_CLEAN: &str = "/v1/tasks/clean";
/// Hand a message over to the coordinator.
pub const DELEGATE: &str = "/v1/delegate";
/// Which issues with work of their own a message may mean.
pub const DELEGATE_CANDIDATES: &str = "/v1/delegate/candidates";
/// What became of a message.
pub const DELEGATED: &str = "/v1/delegate/{task}";
/// Take over work that was begun on an issue before kugetsu.
pub const ADOPT: &str = "/v1/adopt";
/// Every issue's latest run.
pub const ISSUES: &str = "/v1/issues";
/// One issue, by `reference` and `cwd`.
pub const ISSUE: &str = "/v1/issue";
/// One issue's latest task, by `reference` and `cwd`.
pub const ISSUE_TASK: &str = "/v1/issue/task";
/// Why the issue's latest task stands where it stands.
pub const ISSUE_WHY: &str = "/v1/issue/why";
/// Say which pull or merge request belongs to the issue.
pub const ISSUE_CHANGE: &str = "/v1/issue/change";
/// What destroying the issue would lose.
pub const ISSUE_AT_RISK: &str = "/v1/issue/at-risk";
/// Remove an issue's files and session.
pub const ISSUE_DESTROY: &str = "/v1/issue/destroy";
/// The events, one JSON object a line.
pub const EVENTS: &str = "/v1/events";
/// The records of an issue's runs, one JSON object a line.
pub const TRANSCRIPT: &str = "/v1/transcript";
/// What was rescued.
pub const RESCUES: &str = "/v1/rescues";
/// Bring a rescue back.
pub const RESCUE_RESTORE: &str = "/v1/rescues/restore";
/// A runner's report.
pub const RUN_FACTS: &str = "/v1/runs/{run}/facts";
/// The report of a runner of version 0.1: records, one JSON object a line, from byte `offset` on.
pub const RUN_REPORT: &str = "/v1/runs/{run}/report";
/// What the daemon tells a runner, one JSON object a line, as long as the runner lives.
pub const RUN_ORDERS: &str = "/v1/runs/{run}/orders";

/// A path with its one parameter filled in.
pub fn with(path: &str, value: &str) -> String {
    match (path.find('{'), path.find('}')) {
        (Some(from), Some(to)) => format!("{}{}{}", &path[..from], escape(value), &path[to + 1..]),
        _ => path.to_owned(),
    }
}

/// A path with a query. Parameters without a value are left out.
pub fn with_query(path: &str, parameters: &[(&str, Option<&str>)]) -> String {
    let query: Vec<String> =
        parameters.iter().filter_map(|(name, value)| value.map(|value| format!("{name}={}", escape(value)))).collect();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) }
}

/// Percent-encodes everything but letters, digits, `-`, `.`, `_` and `~` (RFC 3986, section 2.3).
fn escape(value: &str) -> impl Display {
    const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    utf8_percent_encode(value, ESCAPED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_cannot_leave_their_place() {
        assert_eq!(with(TASK_CANCEL, "a/../b"), "/v1/tasks/a%2F..%2Fb/cancel");
        assert_eq!(
            with_query(ISSUE, &[("reference", Some("a/b#1&x=y")), ("cwd", None)]),
            "/v1/issue?reference=a%2Fb%231%26x%3Dy"
        );
    }
}
