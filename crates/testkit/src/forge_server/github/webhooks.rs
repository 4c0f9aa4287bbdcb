//! The bodies of deliveries.

use serde_json::{Value, json};

use super::view::View;
use crate::forge_server::comment::Verdict;
use crate::forge_server::event::{Action, Body, Event, EventKind};
use crate::forge_server::issue::Subject;
use crate::forge_server::state::Project;

/// The delivery about an event: name and body. `None` if GitHub reports no such change.
pub(in crate::forge_server) fn delivery(base: &str, event: &Event, project: &Project) -> Option<Body> {
    let view = View { base, path: &event.project, project };
    let action = |action: Action| match action {
        Action::Opened => "opened",
        Action::Edited => "edited",
        Action::Closed => "closed",
        Action::Reopened => "reopened",
        Action::Labeled => "labeled",
        Action::Assigned => "assigned",
        Action::Pushed => "synchronize",
        Action::AutoMergeEnabled => "auto_merge_enabled",
        Action::AutoMergeDisabled => "auto_merge_disabled",
        Action::Enqueued => "enqueued",
        Action::Dequeued => "dequeued",
    };
    let (name, mut body) = match &event.kind {
        EventKind::Ping { hook } => {
            let known = project.hooks.iter().find(|known| known.id == *hook)?;
            ("ping", json!({ "zen": "Keep it logically awesome.", "hook_id": hook, "hook": view.hook(known) }))
        }
        EventKind::Issue { number, action: change } => {
            let issue = view.subject(Subject::Issue(*number))?;
            ("issues", json!({ "action": action(*change), "issue": issue }))
        }
        EventKind::PullRequest { number, action: change } => {
            let pull = view.full_pull(*number, project.pull_requests.get(number)?);
            ("pull_request", json!({ "action": action(*change), "number": number, "pull_request": pull }))
        }
        EventKind::Comment { subject, id, action: change } => {
            let comment = project.subject(*subject)?.comments.iter().find(|comment| comment.id == *id)?;
            let change = if *change == Action::Opened { "created" } else { action(*change) };
            let comment = view.comment(*subject, comment);
            ("issue_comment", json!({ "action": change, "issue": view.subject(*subject)?, "comment": comment }))
        }
        EventKind::Review { number, id } => {
            let pull = project.pull_requests.get(number)?;
            let review = pull.reviews.iter().find(|review| review.id == *id)?;
            let mut body = view.review(*number, review);
            // In lower case, other than in the REST API.
            let state = match review.verdict {
                Verdict::Approved => "approved",
                Verdict::ChangesRequested => "changes_requested",
                Verdict::Dismissed => "dismissed",
                Verdict::Commented | Verdict::Pending => "commented",
            };
            body["state"] = state.into();
            let pull = Value::Object(view.pull(*number, pull));
            ("pull_request_review", json!({ "action": "submitted", "review": body, "pull_request": pull }))
        }
        EventKind::LineComment { number, thread, id } => {
            let pull = project.pull_requests.get(number)?;
            let thread = pull.threads.iter().find(|known| known.id == *thread)?;
            let comments = view.thread(*number, pull, thread);
            let comment = comments.into_iter().find(|comment| comment["id"] == *id)?;
            let pull = Value::Object(view.pull(*number, pull));
            ("pull_request_review_comment", json!({ "action": "created", "comment": comment, "pull_request": pull }))
        }
        EventKind::Check { commit, id } => {
            let check = project.checks.get(commit)?.iter().find(|check| check.id == *id)?;
            match check.log {
                None => {
                    let status = view.status(commit, check);
                    let [state, context] = ["state", "context"].map(|name| status[name].clone());
                    (
                        "status",
                        json!({ "id": check.id, "sha": commit, "state": state, "context": context, "branches": [] }),
                    )
                }
                Some(_) if check.state.has_ended() => {
                    let run = view.check_run(commit, check);
                    let suite = json!({
                        "id": 1, "head_sha": commit, "status": run["status"], "conclusion": run["conclusion"],
                        "head_branch": null, "pull_requests": [],
                    });
                    ("check_suite", json!({ "action": "completed", "check_suite": suite }))
                }
                Some(_) => return None,
            }
        }
        EventKind::Push { branch, before, after } => {
            let pusher = json!({ "name": event.actor, "email": null });
            let zero = |commit: &str| commit.bytes().all(|byte| byte == b'0');
            let body = json!({
                "ref": format!("refs/heads/{branch}"), "before": before, "after": after, "created": zero(before),
                "deleted": zero(after), "forced": false, "commits": [], "pusher": pusher,
            });
            ("push", body)
        }
    };
    body["repository"] = view.repository();
    body["sender"] = view.user(Some(&event.actor));
    Some(Body { name, kind: name, json: body })
}
