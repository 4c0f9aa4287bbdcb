//! Entries of the log of events.

use jiff::Timestamp;
use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::{IssueId, RunId, TaskId};
use kugetsu_domain::issue::Issue;
use kugetsu_domain::run::{Outcome, Verdict};
use kugetsu_domain::text::rfc3339;
use kugetsu_domain::watch::follow::FollowEvent;
use kugetsu_domain::watch::scheduled::Scheduled;
use serde_json::{Value, json};

use crate::view::StoredEvent;

/// An entry that has no number yet.
pub(super) struct EventEntry {
    issue: IssueId,
    task: Option<TaskId>,
    run: Option<RunId>,
    kind: &'static str,
    data: Value,
}

impl EventEntry {
    /// `issue` is the issue after the event.
    pub(super) fn new(issue: &Issue, event: &Event) -> Self {
        let (task, run) = subject(event, issue);
        // A pause that was one too many, or whose task was canceled, ended the task.
        let ended = issue.run.as_ref().and_then(|run| run.outcome.as_ref());
        let ended = ended.filter(|outcome| outcome.verdict != Verdict::Paused);
        let (kind, data) = match (event, ended) {
            (Event::RunPaused { .. }, Some(outcome)) => ("run_ended", end(outcome)),
            _ => (event.name(), data(event)),
        };
        Self { issue: issue.id, task, run, kind, data }
    }

    pub(super) fn stored(self, seq: i64, at: Timestamp) -> StoredEvent {
        let Self { issue, task, run, kind, data } = self;
        StoredEvent { seq, at, issue, task, run, kind: kind.to_owned(), data }
    }
}

/// The fields of an event beside its task and its run. Scripts read them.
fn data(event: &Event) -> Value {
    match event {
        Event::TaskQueued { task } | Event::TaskRetried { task } => {
            json!({ "kind": task.kind.name(), "agent": task.agent, "priority": task.priority })
        }
        Event::Adopted { worktree, session, resumable, pr_url, .. } => json!({
            "directory": worktree.directory,
            "branch": worktree.branch,
            "base_branch": worktree.base_branch,
            "base_sha": worktree.base_sha,
            "session": session,
            "resumable": resumable,
            "change_url": pr_url,
        }),
        Event::WorktreeReady { worktree, .. } => json!({
            "directory": worktree.directory,
            "branch": worktree.branch,
            "base_branch": worktree.base_branch,
            "base_sha": worktree.base_sha,
        }),
        Event::SessionOpened { session, model, .. } => json!({ "session": session, "model": model }),
        Event::Progressed { used, .. } => json!({
            "cost_usd": used.cost_usd,
            "input_tokens": used.input_tokens,
            "output_tokens": used.output_tokens,
        }),
        Event::RunEnded { outcome, .. } => end(outcome),
        Event::RunPaused { outcome, until, .. } => json!({
            "reason": outcome.reason.text,
            "hint": outcome.reason.hint,
            "not_before": rfc3339(*until),
            "head_sha": outcome.head_sha,
            "commits": outcome.commits,
            "pushed": outcome.pushed,
        }),
        Event::TaskMoved { priority, .. } => json!({ "priority": priority }),
        Event::PrSet { url } => json!({ "url": url }),
        Event::PushFound { head } => json!({ "head_sha": head }),
        Event::AgentCommented { number, is_question, .. } => json!({ "number": number, "question": is_question }),
        Event::Followed(event) => of_follow(event),
        Event::PrChecked { url, state } => json!({ "url": url, "state": state.name() }),
        Event::RunnerLost { reason, .. } => json!({ "reason": reason }),
        Event::DestroyFailed { reason } => json!({ "reason": reason.text, "hint": reason.hint }),
        Event::TaskClaimed { .. }
        | Event::PauseEnded { .. }
        | Event::SessionLost { .. }
        | Event::CancelRequested { .. }
        | Event::PrCleared
        | Event::DestroyRequested => json!({}),
        Event::Destroyed { rescue, notes } => json!({ "rescue": rescue, "notes": notes }),
    }
}

fn of_follow(event: &FollowEvent) -> Value {
    match event {
        FollowEvent::Started { watch } => json!({ "watch": watch }),
        FollowEvent::Given { kind, fingerprint, task } => {
            json!({ "kind": kind.name(), "fingerprint": fingerprint, "task": task.to_string() })
        }
        FollowEvent::Exhausted { kind, fingerprint, reason } => {
            json!({ "kind": kind.name(), "fingerprint": fingerprint, "reason": reason })
        }
        FollowEvent::MergeDecided { head }
        | FollowEvent::MergeRenewed { head }
        | FollowEvent::HeadSeen { head }
        | FollowEvent::Verified { head } => {
            json!({ "head_sha": head })
        }
        FollowEvent::MergeScheduled(Scheduled { number, head, refusal }) => {
            json!({ "pull_request": number, "head_sha": head, "refusal": refusal })
        }
        FollowEvent::PublishRequested { run } => json!({ "run": run.to_string() }),
        FollowEvent::Commented { comment } => json!({ "comment": comment }),
        FollowEvent::Ended { ending } => json!({ "state": ending.name() }),
        FollowEvent::Published
        | FollowEvent::Noticed
        | FollowEvent::MergeCancelDecided
        | FollowEvent::MergeCanceled
        | FollowEvent::Stopped
        | FollowEvent::Resumed
        | FollowEvent::Reopened => json!({}),
    }
}

fn end(outcome: &Outcome) -> Value {
    json!({
        "state": outcome.verdict.name(),
        "reason": outcome.reason.text,
        "hint": outcome.reason.hint,
        "head_sha": outcome.head_sha,
        "commits": outcome.commits,
        "pushed": outcome.pushed,
    })
}

/// The task and the run that an event is about. `issue` is the issue after the event.
fn subject(event: &Event, issue: &Issue) -> (Option<TaskId>, Option<RunId>) {
    match event {
        Event::TaskQueued { task } | Event::TaskRetried { task } | Event::Adopted { task, .. } => (Some(task.id), None),
        Event::TaskClaimed { task, run } => (Some(*task), Some(*run)),
        Event::CancelRequested { task } | Event::TaskMoved { task, .. } | Event::PauseEnded { task, .. } => {
            (Some(*task), None)
        }
        Event::WorktreeReady { lease, .. }
        | Event::SessionOpened { lease, .. }
        | Event::Progressed { lease, .. }
        | Event::SessionLost { lease }
        | Event::AgentCommented { lease, .. }
        | Event::RunEnded { lease, .. }
        | Event::RunPaused { lease, .. }
        | Event::RunnerLost { lease, .. } => (issue.run.as_ref().map(|run| run.task), Some(lease.run)),
        Event::PrSet { .. }
        | Event::PrCleared
        | Event::PrChecked { .. }
        | Event::PushFound { .. }
        | Event::Followed(_)
        | Event::DestroyRequested
        | Event::DestroyFailed { .. }
        | Event::Destroyed { .. } => (None, None),
    }
}
