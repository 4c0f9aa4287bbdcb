//! Converts stored facts to wire types.

use kugetsu_api::event::EventObject;
use kugetsu_api::home::Home;
use kugetsu_api::run::{RunObject, Usage};
use kugetsu_api::task::{TaskKind as WireKind, TaskObject};
use kugetsu_domain::issue::IssueState;
use kugetsu_domain::pull_request::PrLink;
use kugetsu_domain::task::TaskKind;
use kugetsu_domain::text::rfc3339;
use kugetsu_store::view::{RunView, StoredEvent};

pub(crate) fn run_object(home: &Home, view: &RunView) -> RunObject {
    let run = view.run.as_ref();
    let outcome = run.and_then(|run| run.outcome.as_ref());
    let usage = view.usage();
    RunObject {
        issue: view.reference.to_string(),
        task: view.task.id.to_string(),
        run: run.map(|run| run.id.to_string()),
        state: view.task.state,
        reason: view.task.reason.as_ref().map(|reason| reason.text.clone()),
        hint: view.task.reason.as_ref().and_then(|reason| reason.hint.clone()),
        not_before: view.task.not_before.map(rfc3339),
        session_id: run.and_then(|run| run.session.clone()).or_else(|| view.session.clone()),
        agent: view.task.agent.clone(),
        worktree: view.worktree.as_ref().map(|files| home.files(&files.directory).0.display().to_string()),
        branch: view.worktree.as_ref().map(|files| files.branch.clone()),
        base_sha: view.worktree.as_ref().and_then(|files| files.base_sha.clone()),
        head_sha: outcome.and_then(|outcome| outcome.head_sha.clone()),
        commits: outcome.map_or(0, |outcome| outcome.commits),
        pushed: outcome.is_some_and(|outcome| outcome.pushed),
        pr_url: view.pr.as_ref().map(|pr| pr.url.clone()),
        change_state: view.pr.as_ref().and_then(PrLink::state),
        queued_at: rfc3339(view.task.queued_at),
        started_at: run.map(|run| rfc3339(run.started_at)),
        ended_at: view.task.ended_at.map(rfc3339),
        destroyed: view.issue_state == IssueState::Destroyed,
        usage: Usage { cost_usd: usage.cost_usd, input_tokens: usage.input_tokens, output_tokens: usage.output_tokens },
    }
}

/// `place` is the number of queued tasks ahead of it.
pub(crate) fn task_object(home: &Home, view: &RunView, place: Option<u64>, notes: Vec<String>) -> TaskObject {
    TaskObject {
        run: run_object(home, view),
        kind: match view.task.kind {
            TaskKind::Start => WireKind::Start,
            TaskKind::Continue => WireKind::Continue,
            TaskKind::Push => WireKind::Push,
            TaskKind::Delegate => WireKind::Delegate,
            TaskKind::Report => WireKind::Report,
        },
        place,
        message: view.task.message.clone(),
        priority: view.task.priority,
        notes,
    }
}

pub(crate) fn event_object(event: StoredEvent) -> EventObject {
    EventObject {
        seq: event.seq,
        at: rfc3339(event.at),
        issue: event.issue.to_string(),
        task: event.task.map(|id| id.to_string()),
        run: event.run.map(|id| id.to_string()),
        kind: event.kind,
        data: event.data,
    }
}
