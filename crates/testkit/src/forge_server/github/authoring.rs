//! Requests of people: new issues, labels and reviews.

use serde_json::{Value, json};

use super::objects::{api, invalid, label};
use super::view::View;
use crate::forge_server::api_request::ApiRequest;
use crate::forge_server::comment::Verdict;
use crate::forge_server::issue::{Issue, Subject};
use crate::forge_server::permission::Permission;
use crate::forge_server::reply::Reply;
use crate::forge_server::state::ForgeState;

/// Labels and assignees of people who may not set them are ignored.
pub(super) fn open_issue(
    forge: &mut ForgeState,
    request: &ApiRequest,
    path: &str,
    permission: Permission,
) -> Option<Reply> {
    let Some(title) = request.text("title").filter(|title| !title.trim().is_empty()) else {
        return Some(invalid(json!([{ "resource": "Issue", "field": "title", "code": "missing_field" }])));
    };
    let mut issue = Issue::new(title).author(request.actor());
    issue.body = request.text("body").map(str::to_owned);
    if permission >= Permission::Triage {
        issue.labels = request.texts("labels").unwrap_or_default();
        issue.assignees = request.texts("assignees").unwrap_or_default();
    }
    forge.project_mut(path).labels.extend(issue.labels.iter().cloned());
    let number = forge.add_issue(path, request.actor(), issue);
    let body = View::of(forge, request, path)?.subject(Subject::Issue(number))?;
    Some(Reply::new(201, body).changed("open_issue"))
}

pub(super) fn create_label(forge: &mut ForgeState, request: &ApiRequest, path: &str) -> Option<Reply> {
    let name = request.text("name")?;
    if !forge.project_mut(path).labels.insert(name.to_owned()) {
        return Some(invalid(json!([{ "resource": "Label", "field": "name", "code": "already_exists" }])));
    }
    Some(Reply::new(201, label(&format!("{}/repos/{path}", api(request)), name)).changed("create_label"))
}

/// A review with its comments, each of which begins a thread.
pub(super) fn review(forge: &mut ForgeState, request: &ApiRequest, path: &str, number: u64) -> Option<Reply> {
    let pull = forge.projects.get(path)?.pull_requests.get(&number)?;
    let is_own = pull.issue.author.as_deref() == Some(request.actor());
    let body = request.text("body").unwrap_or_default().to_owned();
    let refused =
        |message: &str| Some(Reply::new(422, json!({ "message": "Unprocessable Entity", "errors": [message] })));
    let verdict = match request.text("event") {
        Some("APPROVE") if is_own => return refused("Can not approve your own pull request"),
        Some("REQUEST_CHANGES") if is_own => return refused("Can not request changes on your own pull request"),
        Some("APPROVE") => Verdict::Approved,
        Some("REQUEST_CHANGES") => Verdict::ChangesRequested,
        Some("COMMENT") => Verdict::Commented,
        _ => Verdict::Pending,
    };
    let id = forge.add_review(path, number, request.actor(), verdict, &body)?;
    for comment in request.body["comments"].as_array().into_iter().flatten() {
        let line = comment["line"].as_u64().or_else(|| comment["position"].as_u64());
        let (file, text) = (comment["path"].as_str()?, comment["body"].as_str()?);
        forge.add_thread_of(path, number, request.actor(), id, (file, line), text)?;
    }
    let view = View::of(forge, request, path)?;
    let review = view.project.pull_requests.get(&number)?.reviews.iter().find(|review| review.id == id)?;
    let body: Value = view.review(number, review);
    Some(Reply::ok(body).changed("review"))
}
