//! Requests of people: new issues, approvals and threads.

use serde_json::{Value, json};

use super::edits::view;
use crate::forge_server::api_request::ApiRequest;
use crate::forge_server::comment::Verdict;
use crate::forge_server::issue::Issue;
use crate::forge_server::permission::Permission;
use crate::forge_server::reply::Reply;
use crate::forge_server::state::ForgeState;

/// Labels and assignees of people who may not set them are ignored.
pub(super) fn open_issue(forge: &mut ForgeState, request: &ApiRequest, path: &str, permission: Permission) -> Reply {
    let Some(title) = request.text("title") else { return Reply::new(400, json!({ "error": "title is missing" })) };
    let mut issue = Issue::new(title).author(request.actor());
    issue.body = request.text("description").map(str::to_owned);
    if permission >= Permission::Triage {
        let ids = request.ids("assignee_ids").unwrap_or_default();
        issue.assignees = ids.into_iter().filter_map(|id| forge.user_of_id(id)).map(str::to_owned).collect();
        issue.labels = request.names("labels").unwrap_or_default();
    }
    forge.project_mut(path).labels.extend(issue.labels.iter().cloned());
    let number = forge.add_issue(path, request.actor(), issue);
    let view = view(forge, request, path);
    let body = view.and_then(|view| Some(view.issue(number, view.project.issues.get(&number)?)));
    Reply::new(201, body.unwrap_or_default()).changed("open_issue")
}

/// An author may approve, too, unless a setting of the project prevents it.
pub(super) fn approve(forge: &mut ForgeState, request: &ApiRequest, path: &str, number: u64) -> Option<Reply> {
    let pull = forge.projects.get(path)?.pull_requests.get(&number)?;
    if request.text("sha").is_some_and(|sha| sha != pull.sha) {
        return Some(Reply::error(409, "SHA does not match HEAD of source branch"));
    }
    forge.add_review(path, number, request.actor(), Verdict::Approved, "")?;
    let view = view(forge, request, path)?;
    let mut body: Value = view.merge_request(number, view.project.pull_requests.get(&number)?);
    body["approved"] = true.into();
    Some(Reply::new(201, body).changed("review"))
}

/// A thread below the line that `position` names.
pub(super) fn discuss(forge: &mut ForgeState, request: &ApiRequest, path: &str, number: u64) -> Option<Reply> {
    let (text, position) = (request.text("body")?.to_owned(), &request.body["position"]);
    let Some(file) = position["new_path"].as_str() else {
        return Some(Reply::new(400, json!({ "error": "position[new_path] is missing" })));
    };
    let at = (file, position["new_line"].as_u64());
    let thread = forge.add_thread(path, number, request.actor(), at, &text)?;
    let view = view(forge, request, path)?;
    let all = view.discussions(number, view.project.pull_requests.get(&number)?);
    let id = format!("{thread:040x}");
    let body = all.into_iter().find(|discussion| discussion["id"] == *id)?;
    Some(Reply::new(201, body).changed("review"))
}
