//! Tasks and runs in words for people.

use jiff::Timestamp;
use kugetsu_api::run::{RunObject, State};
use kugetsu_api::task::TaskObject;
use kugetsu_domain::text::counted;

use crate::ui::{self, Tone, one_line};

/// The tone of a state.
pub(crate) const fn tone(state: State) -> Tone {
    match state {
        State::Queued => Tone::Dim,
        State::Running => Tone::Strong,
        State::Done => Tone::Good,
        State::Blocked => Tone::Warning,
        State::Failed | State::Timeout | State::Canceled => Tone::Bad,
    }
}

/// Where a task stands, in one line.
pub(crate) fn task_status(task: &TaskObject) -> String {
    let issue = &task.run.issue;
    match (task.run.state, task.place) {
        (State::Queued, Some(0)) => format!("{issue} is queued, next in line"),
        (State::Queued, Some(before)) => format!("{issue} is queued, {before} before it"),
        (state, _) => format!("{issue} is {}", state.name()),
    }
}

/// How a run ended, in a few lines.
pub(crate) fn print_run(run: &RunObject) {
    ui::piece(tone(run.state), run.state.name());
    ui::line(format!(" {}", run.issue));
    details(run);
}

/// Everything about a task.
pub(crate) fn print_task(task: &TaskObject) {
    ui::line(task_status(task));
    field("task", &task.run.task);
    field("queued", &task.run.queued_at);
    if task.priority != 0 {
        field("priority", &task.priority.to_string());
    }
    details(&task.run);
    field("message", &task.message);
}

/// What is known about a run, each in a line.
fn details(run: &RunObject) {
    let optional = |name: &str, value: &Option<String>| {
        if let Some(value) = value.as_ref().filter(|value| !value.is_empty()) {
            field(name, value);
        }
    };
    optional("reason", &run.reason);
    field("agent", &run.agent);
    optional("session", &run.session_id);
    optional("branch", &run.branch);
    if run.head_sha.is_some() || run.commits > 0 {
        let pushed = if run.pushed { "pushed" } else { "not pushed" };
        field("work", &format!("{}, {pushed}", counted(run.commits, "commit")));
    }
    optional("worktree", &run.worktree);
    let state = run.change_state.as_ref().map(|state| format!(" ({state})")).unwrap_or_default();
    optional("change", &run.pr_url.as_ref().map(|url| format!("{url}{state}")));
    if run.usage.input_tokens + run.usage.output_tokens > 0 {
        let usage = run.usage;
        field(
            "used",
            &format!("{} tokens in, {} out, {:.4} USD", usage.input_tokens, usage.output_tokens, usage.cost_usd),
        );
    }
}

fn field(name: &str, value: &str) {
    ui::piece(Tone::Dim, format!("  {name:<9}"));
    ui::line(one_line(value));
}

/// How long ago a time (RFC 3339) was, in one unit.
pub(crate) fn age(time: &str, now: Timestamp) -> String {
    let Ok(time) = time.parse::<Timestamp>() else { return time.to_owned() };
    let seconds = now.as_second().saturating_sub(time.as_second()).max(0);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// The same in a sentence.
pub(crate) fn ago(time: &str, now: Timestamp) -> String {
    format!("{} ago", age(time, now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_one_unit() {
        let now = "2026-11-22T12:00:00Z".parse().unwrap();
        for (time, said) in [
            ("2026-11-22T11:59:30Z", "30 s"),
            ("2026-11-22T11:00:01Z", "59 min"),
            ("2026-11-22T01:00:00Z", "11 h"),
            ("2026-11-01T12:00:00Z", "21 d"),
            ("2026-11-22T12:00:05Z", "0 s"),
            ("soon", "soon"),
        ] {
            assert_eq!(age(time, now), said);
        }
    }
}
