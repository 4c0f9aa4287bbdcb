//! Tasks, runs and times as text.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use kugetsu_api::run::{RunObject, Usage};
use kugetsu_api::task::{TaskKind, TaskObject};
use kugetsu_api::watch::StallObject;
use kugetsu_domain::machine::Machine;
use kugetsu_domain::task::TaskState;
use kugetsu_domain::text::counted;

use crate::ui::{self, Tone, one_line};

pub(crate) const fn tone(state: TaskState) -> Tone {
    match state {
        TaskState::Queued => Tone::Dim,
        TaskState::Running => Tone::Strong,
        TaskState::Done => Tone::Good,
        TaskState::Blocked => Tone::Warning,
        TaskState::Failed | TaskState::Timeout | TaskState::Canceled => Tone::Bad,
    }
}

/// The state of a task, and its position if it is queued.
pub(crate) fn task_status(task: &TaskObject) -> String {
    let issue = &task.run.issue;
    match (task.run.state, task.place) {
        (TaskState::Queued, Some(ahead)) => format!("{issue} is queued at position {}", ahead + 1),
        (state, _) => format!("{issue} is {}", state.name()),
    }
}

/// The reason for the state of a task, and until when it is paused.
pub(crate) fn reason(run: &RunObject) -> Option<String> {
    let Some(until) = &run.not_before else { return run.reason.clone() };
    let reason = run.reason.as_deref().unwrap_or_default();
    Some(format!("waits until {}: {reason}", local_time(until)))
}

/// Prints how a run ended.
pub(crate) fn print_run(run: &RunObject) {
    ui::piece(tone(run.state), run.state.name());
    ui::line(format!(" {}", run.issue));
    print_details(run);
    print_hint(run.hint.as_deref());
}

pub(crate) fn print_task(task: &TaskObject) {
    ui::line(task_status(task));
    print_field("task", &task.run.task);
    if let Some(run) = &task.run.run {
        print_field("run", run);
    }
    print_field("queued", &local_time(&task.run.queued_at));
    if task.priority != 0 {
        print_field("priority", &task.priority.to_string());
    }
    print_details(&task.run);
    match task.kind {
        TaskKind::Push => print_field("kind", "push, without the agent"),
        _ => print_field("message", &task.message),
    }
    print_hint(task.run.hint.as_deref());
}

/// Prints the hint of a reason, if it has one, as those of errors are printed.
pub(crate) fn print_hint(hint: Option<&str>) {
    if let Some(hint) = hint {
        ui::line(format!("hint: {}", one_line(hint)));
    }
}

/// Prints what is known about a run, one field per line.
fn print_details(run: &RunObject) {
    let optional = |name: &str, value: &Option<String>| {
        if let Some(value) = value.as_ref().filter(|value| !value.is_empty()) {
            print_field(name, value);
        }
    };
    optional("reason", &reason(run));
    print_field("agent", &run.agent);
    optional("session", &run.session_id);
    optional("branch", &run.branch);
    if run.head_sha.is_some() || run.commits > 0 {
        let pushed = if run.pushed { "pushed" } else { "not pushed" };
        print_field("commits", &format!("{} ({pushed})", run.commits));
    }
    optional("worktree", &run.worktree);
    let state = run.change_state.as_ref().map(|state| format!(" ({state})")).unwrap_or_default();
    optional("PR", &run.pr_url.as_ref().map(|url| format!("{url}{state}")));
    if run.run.is_some() && run.ended_at.is_some() && run.usage != Usage::ZERO {
        print_field("usage", &usage(run.usage));
    }
}

fn usage(usage: Usage) -> String {
    let parts = [
        usage.input_tokens.map(|tokens| format!("{tokens} input tokens")),
        usage.output_tokens.map(|tokens| format!("{tokens} output tokens")),
        usage.cost_usd.map(|cost| format!("{cost:.4} USD")),
    ];
    let unknown = match (usage.input_tokens.and(usage.output_tokens), usage.cost_usd) {
        (None, None) => return "unknown: the agent did not report it".to_owned(),
        (None, Some(_)) => Some("tokens unknown".to_owned()),
        (Some(_), None) => Some("cost unknown".to_owned()),
        (Some(_), Some(_)) => None,
    };
    parts.into_iter().chain([unknown]).flatten().collect::<Vec<_>>().join(", ")
}

fn print_field(name: &str, value: &str) {
    ui::piece(Tone::Dim, format!("  {name:<9}"));
    ui::line(one_line(value));
}

/// `2 commits, pushed`; `None` without commits.
pub(crate) fn commits(count: u64, pushed: bool) -> Option<String> {
    let pushed = if pushed { "pushed" } else { "not pushed" };
    (count > 0).then(|| format!("{}, {pushed}", counted(count, "commit")))
}

/// US dollars in cents; empty if nothing was spent, and `-` if the cost is not known.
pub(crate) fn cost(usd: Option<f64>) -> String {
    match usd {
        None => "-".to_owned(),
        Some(usd) if usd <= 0.0 => String::new(),
        Some(usd) if usd < 0.01 => "<$0.01".to_owned(),
        Some(usd) => format!("${usd:.2}"),
    }
}

/// A time (RFC 3339) in the time zone of this machine. Returns the text itself if it is not a time.
pub(crate) fn local_time(time: &str) -> String {
    let Ok(time) = time.parse::<Timestamp>() else { return time.to_owned() };
    time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// The age of a time (RFC 3339) in its largest unit. Returns the text itself if it is not a time.
pub(crate) fn age(time: &str, now: Timestamp) -> String {
    let Ok(time) = time.parse::<Timestamp>() else { return time.to_owned() };
    seconds(u64::try_from(now.as_second().saturating_sub(time.as_second())).unwrap_or_default())
}

/// A length of time in its largest unit.
pub(crate) fn seconds(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

pub(crate) fn ago(time: &str, now: Timestamp) -> String {
    format!("{} ago", age(time, now))
}

/// The warning about work that could start while nothing does.
pub(crate) fn stall(stall: &StallObject) -> String {
    let tasks = (stall.tasks > 0).then(|| counted(stall.tasks, "queued task"));
    let issues = match stall.issues.as_slice() {
        [] => None,
        [only] => Some(only.clone()),
        [first, rest @ ..] => Some(format!("{first} and {} more", counted(rest.len() as u64, "issue"))),
    };
    let work = tasks.into_iter().chain(issues).collect::<Vec<_>>().join(", ");
    let since = local_time(&stall.since);
    format!("nothing was started since {since}, although there is a free slot for {work}")
}

/// A size for display, in MiB or GiB.
pub(crate) fn size(bytes: u64) -> String {
    match bytes >> 20 {
        0 => format!("{} KiB", bytes.div_ceil(1024)),
        megabytes @ ..1024 => format!("{megabytes} MiB"),
        megabytes => format!("{}.{} GiB", megabytes / 1024, megabytes % 1024 * 10 / 1024),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_in_cents() {
        let known = [0.0, -1.0, 0.0006, 0.01, 12.345].map(|usd| cost(Some(usd)));
        assert_eq!(known, ["", "", "<$0.01", "$0.01", "$12.35"]);
        assert_eq!(cost(None), "-");
    }

    #[test]
    fn what_an_agent_did_not_report_is_not_shown_as_zero() {
        let of = |cost_usd, input_tokens, output_tokens| usage(Usage { cost_usd, input_tokens, output_tokens });
        assert_eq!(of(Some(0.5), Some(7), Some(3)), "7 input tokens, 3 output tokens, 0.5000 USD");
        assert_eq!(of(None, Some(7), Some(3)), "7 input tokens, 3 output tokens, cost unknown");
        assert_eq!(of(Some(0.5), None, None), "0.5000 USD, tokens unknown");
        assert_eq!(of(None, None, None), "unknown: the agent did not report it");
    }

    #[test]
    fn ages_have_one_unit() {
        let now = "2026-11-22T12:00:00Z".parse().unwrap();
        for (time, expected) in [
            ("2026-11-22T11:59:30Z", "30 s"),
            ("2026-11-22T11:00:01Z", "59 min"),
            ("2026-11-22T01:00:00Z", "11 h"),
            ("2026-11-01T12:00:00Z", "21 d"),
            ("2026-11-22T12:00:05Z", "0 s"),
            ("soon", "soon"),
        ] {
            assert_eq!(age(time, now), expected);
        }
    }
}
