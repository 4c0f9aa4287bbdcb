//! Results of the tools, bounded so that none fills the context of the agent's model.

use kugetsu_api::record::Body;
use kugetsu_api::run::RunObject;
use kugetsu_api::task::TaskObject;
use kugetsu_domain::machine::Machine;
use kugetsu_domain::pull_request::PrState;
use kugetsu_domain::reference::COORDINATOR;
use serde_json::{Value, json};

/// Maximum number of issues or tasks in a result. It also has the number of the others.
const ENTRIES_MAX: usize = 100;
/// Maximum length of a reason, in characters. Some reasons are text of an agent.
const REASON_MAX: usize = 400;
/// Maximum length of a task's message, in bytes.
const MESSAGE_MAX: usize = 8 * 1024;
/// Maximum length of a line of a transcript, in characters.
const LINE_MAX: usize = 400;

/// The first entries of a list, and the number of the others.
#[derive(Debug, Default)]
pub(super) struct BoundedList {
    entries: Vec<Value>,
    left_out: usize,
}

impl BoundedList {
    pub(super) fn extend(&mut self, entry: Option<Value>) {
        match entry {
            Some(entry) if self.entries.len() < ENTRIES_MAX => self.entries.push(entry),
            Some(_) => self.left_out += 1,
            None => {}
        }
    }

    pub(super) fn named(self, name: &str) -> Value {
        json!({name: self.entries, "left_out": self.left_out})
    }
}

/// Returns the entry of an issue; `None` if it is destroyed or of another repository.
pub(super) fn issue_entry(run: &RunObject, repository: Option<&str>) -> Option<Value> {
    let is_of = |wanted: &str| run.issue.rsplit_once('#').is_some_and(|(own, _)| own == wanted.trim());
    (!run.destroyed && repository.is_none_or(is_of)).then(|| run_summary(run))
}

/// Returns the entry of a queued or running task; `None` for the coordinator's own.
pub(super) fn task_entry(task: &TaskObject) -> Option<Value> {
    (task.run.issue != COORDINATOR).then(|| {
        json!({"issue": task.run.issue, "state": task.run.state.name(), "kind": task.kind.verb(),
            "place_in_line": task.place, "reason": task.run.reason.as_deref().map(bounded_reason),
            "not_before": task.run.not_before, "hint": task.run.hint.as_deref().map(bounded_reason)})
    })
}

pub(super) fn run_summary(run: &RunObject) -> Value {
    json!({"issue": run.issue, "state": run.state.name(), "reason": run.reason.as_deref().map(bounded_reason),
        "not_before": run.not_before, "hint": run.hint.as_deref().map(bounded_reason),
        "branch": run.branch, "commits": run.commits, "pushed": run.pushed, "change": run.pr_url,
        "change_state": run.change_state.map(PrState::name), "agent": run.agent})
}

pub(super) fn bounded_reason(reason: &str) -> String {
    match reason.char_indices().nth(REASON_MAX) {
        Some((at, _)) => format!("{}…", &reason[..at]),
        None => reason.to_owned(),
    }
}

/// Returns the beginning of a message, and the length of the rest.
pub(super) fn bounded_message(message: &str) -> String {
    let (shown, rest) = message.split_at(message.floor_char_boundary(MESSAGE_MAX));
    if rest.is_empty() {
        return message.to_owned();
    }
    format!("{shown}\n[{} more bytes of this message are omitted]", rest.len())
}

/// Returns a record as lines of plain text; none for a record that is of no use to the agent.
pub(super) fn record_lines(body: &Body) -> Vec<String> {
    let text = match body {
        Body::Step { text } => format!("· {text}"),
        Body::Notice { text } => format!("! {text}"),
        Body::Text { text } => text.clone(),
        Body::ToolStarted { title, input, .. } => format!("> {title} {input}"),
        Body::ToolEnded { ok, output, .. } => format!("{} {output}", if *ok { "=" } else { "failed:" }),
        Body::Permission { title, answer } => format!("? {title}: {answer}"),
        Body::Ended { state, reason, hint, .. } => {
            let hint = hint.as_ref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
            format!("■ {state}: {reason}{hint}")
        }
        _ => return Vec::new(),
    };
    text.lines().filter(|line| !line.trim().is_empty()).map(|line| line.chars().take(LINE_MAX).collect()).collect()
}

#[cfg(test)]
mod tests {
    use kugetsu_api::run::Usage;
    use kugetsu_api::task::TaskKind;
    use kugetsu_domain::task::TaskState;

    use super::*;

    fn run(issue: &str) -> RunObject {
        RunObject {
            issue: issue.to_owned(),
            task: String::new(),
            run: None,
            state: TaskState::Done,
            reason: Some("ä".repeat(5000)),
            hint: None,
            not_before: None,
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

    fn list(entries: impl Iterator<Item = Option<Value>>) -> Value {
        let mut list = BoundedList::default();
        entries.for_each(|entry| list.extend(entry));
        list.named("entries")
    }

    #[test]
    fn long_history_gives_a_short_result() {
        let mut issues: Vec<RunObject> = (1..=250).map(|number| run(&format!("h/o/r#{number}"))).collect();
        issues[1].destroyed = true;
        issues.push(run("h/o/other#1"));
        let all = list(issues.iter().map(|run| issue_entry(run, None)));
        let shown = all["entries"].as_array().unwrap();
        assert_eq!((shown.len(), &all["left_out"]), (ENTRIES_MAX, &json!(150)));
        assert_eq!((&shown[0]["issue"], &shown[1]["issue"]), (&json!("h/o/r#1"), &json!("h/o/r#3")));
        assert_eq!(shown[0]["reason"].as_str().unwrap().chars().count(), REASON_MAX + 1);
        let of_one = list(issues.iter().map(|run| issue_entry(run, Some("h/o/other"))));
        assert_eq!((of_one["entries"].as_array().unwrap().len(), &of_one["left_out"]), (1, &json!(0)));

        let task = |run: &RunObject| TaskObject {
            run: run.clone(),
            kind: TaskKind::Start,
            place: None,
            message: String::new(),
            priority: 0,
            notes: vec![],
        };
        let tasks = list(issues.iter().map(|run| task_entry(&task(run))));
        assert_eq!((&tasks["entries"][0]["issue"], &tasks["left_out"]), (&json!("h/o/r#1"), &json!(151)));
        assert_eq!(task_entry(&task(&run(COORDINATOR))), None);
    }

    #[test]
    fn long_message_is_cut_at_a_character() {
        let message = bounded_message(&"ä".repeat(MESSAGE_MAX));
        assert!(message.len() < MESSAGE_MAX + 100, "{}", message.len());
        assert!(message.ends_with("\n[8192 more bytes of this message are omitted]"));
        assert_eq!(bounded_message("short"), "short");
    }
}
