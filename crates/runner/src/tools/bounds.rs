//! What the tools answer with, kept so short that no answer fills the context of the model that reads it.

use kugetsu_api::record::Body;
use kugetsu_api::run::RunObject;
use kugetsu_api::task::TaskObject;
use kugetsu_domain::reference::COORDINATOR;
use serde_json::{Value, json};

/// Most issues or tasks in one answer; how many more there are is said.
const ENTRIES_MAX: usize = 100;
/// Longest reason, in characters: some are an agent's own words.
const REASON_MAX: usize = 400;
/// Longest part of a task's message, in bytes.
const MESSAGE_MAX: usize = 8 * 1024;
/// Longest line of a transcript, in characters.
const LINE_MAX: usize = 400;

/// The issues that there is something of, the one that was worked on last first.
pub(super) fn listed(issues: &[RunObject], repository: Option<&str>) -> Value {
    let is_meant = |run: &&RunObject| {
        let is_of = |wanted: &str| run.issue.rsplit_once('#').is_some_and(|(own, _)| own == wanted.trim());
        !run.destroyed && repository.is_none_or(is_of)
    };
    let meant: Vec<&RunObject> = issues.iter().filter(is_meant).collect();
    let shown: Vec<Value> = meant.iter().rev().take(ENTRIES_MAX).map(|run| short(run)).collect();
    json!({"issues": shown, "left_out": meant.len() - shown.len()})
}

/// What waits in line and what runs, what comes next first.
pub(super) fn waiting(tasks: &[TaskObject]) -> Value {
    let meant: Vec<&TaskObject> = tasks.iter().filter(|task| task.run.issue != COORDINATOR).collect();
    let shown: Vec<Value> = meant
        .iter()
        .take(ENTRIES_MAX)
        .map(|task| {
            json!({"issue": task.run.issue, "state": task.run.state.name(), "kind": task.kind.verb(),
            "place_in_line": task.place, "reason": task.run.reason.as_deref().map(bounded_reason)})
        })
        .collect();
    json!({"tasks": shown, "left_out": meant.len() - shown.len()})
}

/// An issue's latest run.
pub(super) fn short(run: &RunObject) -> Value {
    json!({"issue": run.issue, "state": run.state.name(), "reason": run.reason.as_deref().map(bounded_reason),
        "branch": run.branch, "commits": run.commits, "pushed": run.pushed, "change": run.pr_url,
        "change_state": run.change_state, "agent": run.agent})
}

/// The beginning of a reason.
pub(super) fn bounded_reason(reason: &str) -> String {
    match reason.char_indices().nth(REASON_MAX) {
        Some((at, _)) => format!("{}…", &reason[..at]),
        None => reason.to_owned(),
    }
}

/// The beginning of a message, and how much of it is left out.
pub(super) fn bounded_message(message: &str) -> String {
    let (shown, rest) = message.split_at(message.floor_char_boundary(MESSAGE_MAX));
    if rest.is_empty() {
        return message.to_owned();
    }
    format!("{shown}\n[{} more bytes of this message are left out]", rest.len())
}

/// A record in plain lines.
pub(super) fn told(body: &Body) -> Vec<String> {
    let text = match body {
        Body::Step { text } => format!("· {text}"),
        Body::Notice { text } => format!("! {text}"),
        Body::Text { text } => text.clone(),
        Body::ToolStarted { title, input, .. } => format!("> {title} {input}"),
        Body::ToolEnded { ok, output, .. } => format!("{} {output}", if *ok { "=" } else { "failed:" }),
        Body::Permission { title, answer } => format!("? {title}: {answer}"),
        Body::Ended { state, reason, .. } => format!("■ {state}: {reason}"),
        _ => return Vec::new(),
    };
    text.lines().filter(|line| !line.trim().is_empty()).map(|line| line.chars().take(LINE_MAX).collect()).collect()
}

#[cfg(test)]
mod tests {
    use kugetsu_api::run::{State, Usage};
    use kugetsu_api::task::TaskKind;

    use super::*;

    fn run(issue: &str) -> RunObject {
        RunObject {
            issue: issue.to_owned(),
            task: String::new(),
            run: None,
            state: State::Done,
            reason: Some("ä".repeat(5000)),
            session_id: None,
            agent: "opencode".to_owned(),
            worktree: None,
            branch: None,
            base_sha: None,
            head_sha: None,
            commits: 0,
            pushed: false,
            pr_url: None,
            change_state: None,
            queued_at: String::new(),
            started_at: None,
            ended_at: None,
            destroyed: false,
            usage: Usage::default(),
        }
    }

    #[test]
    fn a_long_history_makes_no_long_answer() {
        let mut issues: Vec<RunObject> = (1..=250).map(|number| run(&format!("h/o/r#{number}"))).collect();
        issues[249].destroyed = true;
        issues.push(run("h/o/other#1"));
        let listed_all = listed(&issues, None);
        let shown = listed_all["issues"].as_array().unwrap();
        assert_eq!((shown.len(), &listed_all["left_out"]), (ENTRIES_MAX, &json!(150)));
        assert_eq!((&shown[0]["issue"], &shown[1]["issue"]), (&json!("h/o/other#1"), &json!("h/o/r#249")));
        assert_eq!(shown[0]["reason"].as_str().unwrap().chars().count(), REASON_MAX + 1);
        let of_one = listed(&issues, Some("h/o/other"));
        assert_eq!((of_one["issues"].as_array().unwrap().len(), &of_one["left_out"]), (1, &json!(0)));

        let task = |run: &RunObject| TaskObject {
            run: run.clone(),
            kind: TaskKind::Start,
            place: None,
            message: String::new(),
            priority: 0,
            notes: vec![],
        };
        let tasks: Vec<TaskObject> = issues.iter().map(task).collect();
        let waiting = waiting(&tasks);
        assert_eq!((&waiting["tasks"][0]["issue"], &waiting["left_out"]), (&json!("h/o/r#1"), &json!(151)));
        let message = bounded_message(&"ä".repeat(MESSAGE_MAX));
        assert!(message.len() < MESSAGE_MAX + 100, "{}", message.len());
        assert!(message.ends_with("\n[8192 more bytes of this message are left out]"));
        assert_eq!(bounded_message("short"), "short");
    }
}
