//! The bodies of deliveries.

use serde_json::{Value, json};

use super::view::{View, user};
use crate::forge_server::comment::Verdict;
use crate::forge_server::event::{Action, Body, Event, EventKind};
use crate::forge_server::issue::Subject;
use crate::forge_server::state::Project;

/// The delivery about an event; `None` if GitLab reports no such change.
pub(in crate::forge_server) fn delivery(base: &str, event: &Event, project: &Project) -> Option<Body> {
    let view = View { base, path: &event.project, project };
    let (name, mut body) = match &event.kind {
        EventKind::Ping { .. } => return None,
        EventKind::Issue { number, action } => {
            let issue = view.issue(*number, project.issues.get(number)?);
            (
                "Issue Hook",
                json!({ "object_kind": "issue", "event_type": "issue", "object_attributes": with(issue, word(*action)?) }),
            )
        }
        EventKind::PullRequest { number, action } => {
            let pull = project.pull_requests.get(number)?;
            let action = match action {
                Action::Closed if pull.merge_commit.is_some() => "merge",
                action => word(*action)?,
            };
            ("Merge Request Hook", merge_request(with(view.merge_request(*number, pull), action)))
        }
        EventKind::Comment { subject, id, action } => {
            let comment = project.subject(*subject)?.comments.iter().find(|comment| comment.id == *id)?;
            let action = if *action == Action::Opened { "create" } else { "update" };
            let mut body = json!({ "object_kind": "note", "event_type": "note", "object_attributes": with(view.note(*subject, comment, None), action) });
            add_subject(&mut body, &view, *subject);
            ("Note Hook", body)
        }
        EventKind::Review { number, id } => {
            let pull = project.pull_requests.get(number)?;
            let review = pull.reviews.iter().find(|review| review.id == *id)?;
            let action = if review.verdict == Verdict::Approved { "approved" } else { "update" };
            ("Merge Request Hook", merge_request(with(view.merge_request(*number, pull), action)))
        }
        EventKind::LineComment { number, thread, id } => {
            let pull = project.pull_requests.get(number)?;
            let thread = pull.threads.iter().find(|known| known.id == *thread)?;
            let comment = thread.comments.iter().find(|comment| comment.id == *id)?;
            let subject = Subject::PullRequest(*number);
            let note = with(view.note(subject, comment, Some(thread)), "create");
            let mut body = json!({ "object_kind": "note", "event_type": "note", "object_attributes": note });
            add_subject(&mut body, &view, subject);
            ("Note Hook", body)
        }
        EventKind::Check { commit, .. } => {
            let pipeline = view.pipeline(commit)?;
            ("Pipeline Hook", json!({ "object_kind": "pipeline", "object_attributes": pipeline, "builds": [] }))
        }
        EventKind::Push { branch, before, after } => {
            let body = json!({
                "object_kind": "push", "event_name": "push", "before": before, "after": after, "checkout_sha": after,
                "ref": format!("refs/heads/{branch}"), "project_id": project.id, "commits": [], "total_commits_count": 0,
            });
            ("Push Hook", body)
        }
    };
    body["user"] = user(base, Some(&event.actor));
    body["project"] = json!({
        "id": project.id, "path_with_namespace": view.path, "web_url": format!("{base}/{}", view.path),
        "default_branch": project.settings.default_branch,
    });
    Some(Body { name, kind: name, json: body })
}

/// None for a scheduled merge, which is not reported.
fn word(action: Action) -> Option<&'static str> {
    Some(match action {
        Action::Opened => "open",
        Action::Closed => "close",
        Action::Reopened => "reopen",
        Action::Edited | Action::Labeled | Action::Assigned | Action::Pushed => "update",
        Action::AutoMergeEnabled | Action::AutoMergeDisabled | Action::Enqueued | Action::Dequeued => return None,
    })
}

fn with(mut object: Value, action: &str) -> Value {
    object["action"] = action.into();
    object
}

fn merge_request(attributes: Value) -> Value {
    json!({ "object_kind": "merge_request", "event_type": "merge_request", "object_attributes": attributes })
}

/// Adds what the note belongs to.
fn add_subject(body: &mut Value, view: &View<'_>, subject: Subject) {
    let number = subject.number();
    match subject {
        Subject::Issue(_) => {
            body["issue"] = view.project.issues.get(&number).map(|issue| view.issue(number, issue)).into();
        }
        Subject::PullRequest(_) => {
            let pull = view.project.pull_requests.get(&number);
            body["merge_request"] = pull.map(|pull| view.merge_request(number, pull)).into();
        }
    }
}
