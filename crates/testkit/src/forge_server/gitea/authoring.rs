//! Requests of people: new issues and reviews.

use super::view::View;
use crate::forge_server::api_request::ApiRequest;
use crate::forge_server::comment::Verdict;
use crate::forge_server::issue::{Issue, Subject};
use crate::forge_server::permission::Permission;
use crate::forge_server::reply::Reply;
use crate::forge_server::state::{ForgeState, id_of};

/// Labels and assignees of people who may not set them are ignored.
pub(super) fn open_issue(
    forge: &mut ForgeState,
    request: &ApiRequest,
    path: &str,
    permission: Permission,
) -> Option<Reply> {
    let Some(title) = request.text("title").filter(|title| !title.trim().is_empty()) else {
        return Some(Reply::error(422, "[Title]: Required"));
    };
    let mut issue = Issue::new(title).author(request.actor());
    issue.body = request.text("body").map(str::to_owned);
    if permission >= Permission::Write {
        let ids = request.ids("labels").unwrap_or_default();
        let known = forge.projects.get(path)?.label_names();
        issue.labels = known.into_iter().filter(|name| ids.contains(&id_of(name))).collect();
        issue.assignees = request.texts("assignees").unwrap_or_default();
    }
    let number = forge.add_issue(path, request.actor(), issue);
    let body = View::of(forge, request, path)?.subject(Subject::Issue(number))?;
    Some(Reply::new(201, body).changed("open_issue"))
}

/// A review with its comments, each of which begins a thread.
pub(super) fn review(forge: &mut ForgeState, request: &ApiRequest, path: &str, number: u64) -> Option<Reply> {
    let pull = forge.projects.get(path)?.pull_requests.get(&number)?;
    let is_own = pull.issue.author.as_deref() == Some(request.actor());
    let body = request.text("body").unwrap_or_default().to_owned();
    let verdict = match request.text("event") {
        Some("APPROVED") if is_own => return Some(Reply::error(422, "approve your own pull is not allowed")),
        Some("REQUEST_CHANGES") if is_own => return Some(Reply::error(422, "reject your own pull is not allowed")),
        Some("APPROVED") => Verdict::Approved,
        Some("REQUEST_CHANGES") => Verdict::ChangesRequested,
        Some("COMMENT") => Verdict::Commented,
        _ => Verdict::Pending,
    };
    let id = forge.add_review(path, number, request.actor(), verdict, &body)?;
    for comment in request.body["comments"].as_array().into_iter().flatten() {
        let line = comment["new_position"].as_u64().filter(|line| *line > 0);
        let (file, text) = (comment["path"].as_str()?, comment["body"].as_str()?);
        forge.add_thread_of(path, number, request.actor(), id, (file, line), text)?;
    }
    let view = View::of(forge, request, path)?;
    let pull = view.project.pull_requests.get(&number)?;
    let review = pull.reviews.iter().find(|review| review.id == id)?;
    Some(Reply::ok(view.review(number, pull, review)).changed("review"))
}
