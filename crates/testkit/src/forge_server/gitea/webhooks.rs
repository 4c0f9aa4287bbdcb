//! The bodies of deliveries.

use serde_json::{Value, json};

use super::view::{View, user};
use crate::forge_server::comment::Verdict;
use crate::forge_server::event::{Action, Body, Event, EventKind};
use crate::forge_server::issue::Subject;
use crate::forge_server::state::Project;

/// The delivery about an event; `None` if Gitea reports no such change.
pub(in crate::forge_server) fn delivery(base: &str, event: &Event, project: &Project) -> Option<Body> {
    let view = View { base, path: &event.project, project };
    // None for a scheduled merge, which is not reported.
    let action = |action: Action| {
        Some(match action {
            Action::Opened => "opened",
            Action::Edited => "edited",
            Action::Closed => "closed",
            Action::Reopened => "reopened",
            Action::Labeled => "label_updated",
            Action::Assigned => "assigned",
            Action::Pushed => "synchronized",
            Action::AutoMergeEnabled | Action::AutoMergeDisabled | Action::Enqueued | Action::Dequeued => return None,
        })
    };
    let (name, kind, mut body) = match &event.kind {
        EventKind::Ping { .. } => return None,
        EventKind::Issue { number, action: change } => {
            let kind = match change {
                Action::Labeled => "issue_label",
                Action::Assigned => "issue_assign",
                _ => "issues",
            };
            let issue = view.subject(Subject::Issue(*number))?;
            ("issues", kind, json!({ "action": action(*change)?, "number": number, "issue": issue }))
        }
        EventKind::PullRequest { number, action: change } => {
            let kind = match change {
                Action::Labeled => "pull_request_label",
                Action::Assigned => "pull_request_assign",
                Action::Pushed => "pull_request_sync",
                _ => "pull_request",
            };
            let pull = view.pull(*number, project.pull_requests.get(number)?);
            ("pull_request", kind, json!({ "action": action(*change)?, "number": number, "pull_request": pull }))
        }
        EventKind::Comment { subject, id, action: change } => {
            let comment = project.subject(*subject)?.comments.iter().find(|comment| comment.id == *id)?;
            let is_pull = matches!(subject, Subject::PullRequest(_));
            let body = json!({
                "action": if *change == Action::Opened { "created" } else { action(*change)? },
                "issue": view.subject(*subject)?, "comment": view.comment(*subject, comment), "is_pull": is_pull,
            });
            ("issue_comment", if is_pull { "pull_request_comment" } else { "issue_comment" }, body)
        }
        EventKind::Review { number, id } => {
            let pull = project.pull_requests.get(number)?;
            let review = pull.reviews.iter().find(|review| review.id == *id)?;
            let (name, kind) = match review.verdict {
                Verdict::Approved => ("pull_request_approved", "pull_request_review_approved"),
                Verdict::ChangesRequested => ("pull_request_rejected", "pull_request_review_rejected"),
                _ => ("pull_request_comment", "pull_request_review_comment"),
            };
            let body = json!({
                "action": "reviewed", "number": number, "pull_request": view.pull(*number, pull),
                "review": { "type": kind, "content": review.body },
            });
            (name, kind, body)
        }
        EventKind::LineComment { number, .. } => {
            let pull = view.pull(*number, project.pull_requests.get(number)?);
            let kind = "pull_request_review_comment";
            let review = json!({ "type": kind, "content": "" });
            let body = json!({ "action": "reviewed", "number": number, "pull_request": pull, "review": review });
            ("pull_request_comment", kind, body)
        }
        EventKind::Check { commit, id } => {
            let check = project.checks.get(commit)?.iter().find(|check| check.id == *id)?;
            let status = view.status(commit, check, 1);
            let [state, context, target] = ["status", "context", "target_url"].map(|name| status[name].clone());
            let body = json!({ "sha": commit, "state": state, "context": context, "target_url": target, "commit": { "id": commit } });
            ("status", "status", body)
        }
        EventKind::Push { branch, before, after } => {
            let body = json!({
                "ref": format!("refs/heads/{branch}"), "before": before, "after": after, "commits": [],
                "total_commits": 0, "head_commit": Value::Null, "pusher": user(base, &event.actor),
            });
            ("push", "push", body)
        }
    };
    body["repository"] = view.repository(view.path, project.id);
    body["sender"] = user(base, &event.actor);
    Some(Body { name, kind, json: body })
}
