//! Requests that open, change and merge merge requests.

use serde_json::json;

use super::edits::{edit_of, view};
use super::view::missing;
use crate::forge_server::api_request::ApiRequest;
use crate::forge_server::issue::Subject;
use crate::forge_server::merging::{NotMerged, NotOpened, Opening};
use crate::forge_server::pull_request::MergeMethod;
use crate::forge_server::reply::Reply;
use crate::forge_server::state::ForgeState;

const DRAFT_PREFIXES: &[&str] = &["Draft:", "[Draft]", "(Draft)"];

/// The title without its mark, and whether it marks a draft.
fn title_of(title: &str) -> (String, bool) {
    let begins = |prefix: &&&str| title.get(..prefix.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(prefix));
    match DRAFT_PREFIXES.iter().find(begins) {
        Some(prefix) => (title[prefix.len()..].trim_start().to_owned(), true),
        None => (title.to_owned(), false),
    }
}

pub(super) fn open(forge: &mut ForgeState, request: &ApiRequest, path: &str) -> Reply {
    let names = ["title", "source_branch", "target_branch"];
    if let Some(missing) = names.iter().find(|name| request.text(name).is_none()) {
        return Reply::new(400, json!({ "error": format!("{missing} is missing") }));
    }
    let [title, head, base] = names.map(|name| request.text(name).unwrap_or_default().to_owned());
    let (title, draft) = title_of(&title);
    let body = request.text("description").map(str::to_owned);
    match forge.open_pull(path, request.actor(), Opening { title, body, head: head.clone(), base: base.clone(), draft })
    {
        Ok(number) => reply(forge, request, path, number, 201).unwrap_or_else(missing).changed("open_pull_request"),
        Err(NotOpened::Exists(number)) => {
            let message = format!("Another open merge request already exists for this source branch: !{number}");
            Reply::new(409, json!({ "message": [message] }))
        }
        Err(NotOpened::NoCommits) => {
            Reply::new(422, json!({ "message": ["You can't use same project/branch for source and target"] }))
        }
        Err(NotOpened::NoHead) => {
            Reply::new(409, json!({ "message": [format!("Source branch \"{head}\" does not exist")] }))
        }
        Err(NotOpened::NoBase) => {
            Reply::new(409, json!({ "message": [format!("Target branch \"{base}\" does not exist")] }))
        }
    }
}

fn reply(forge: &ForgeState, request: &ApiRequest, path: &str, number: u64, status: u16) -> Option<Reply> {
    let view = view(forge, request, path)?;
    Some(Reply::new(status, view.merge_request(number, view.project.pull_requests.get(&number)?)))
}

pub(super) fn edit(forge: &mut ForgeState, request: &ApiRequest, path: &str, number: u64) -> Option<Reply> {
    let subject = Subject::PullRequest(number);
    let mut edit = edit_of(forge, request, path, subject)?;
    if let Some((title, draft)) = edit.title.as_deref().map(title_of) {
        (edit.title, edit.draft) = (Some(title), Some(draft));
    }
    forge.edit(path, subject, request.actor(), edit)?;
    let mut kind = if request.body.get("add_labels").is_some() { "label" } else { "edit_pull_request" };
    if let Some(ids) = request.ids("reviewer_ids") {
        let logins: Vec<String> = ids.into_iter().filter_map(|id| forge.user_of_id(id)).map(str::to_owned).collect();
        // The list replaces the one before.
        forge.project_mut(path).pull_requests.get_mut(&number)?.reviewers.clear();
        forge.ask_for_review(path, number, &logins)?;
        kind = "request_review";
    }
    reply(forge, request, path, number, 200).map(|reply| reply.changed(kind))
}

pub(super) fn merge(forge: &mut ForgeState, request: &ApiRequest, path: &str, number: u64) -> Reply {
    let Some(sha) = request.text("sha") else { return Reply::new(400, json!({ "error": "sha is missing" })) };
    let method = if request.flag("squash") { MergeMethod::Squash } else { MergeMethod::Merge };
    let waits = request.flag("auto_merge") || request.flag("merge_when_pipeline_succeeds");
    let may = forge.may_merge(path, number, Some(sha), method);
    if may.is_ok() && waits && !forge.is_ready(path, number) {
        forge.merge_later(path, number, request.actor(), method);
        return reply(forge, request, path, number, 200).unwrap_or_else(missing).changed("merge_when_ready");
    }
    match forge.merge_now(path, number, request.actor(), Some(sha), method) {
        Ok(_) => reply(forge, request, path, number, 200).unwrap_or_else(missing).changed("merge"),
        Err(NotMerged::Missing) => missing(),
        Err(NotMerged::Moved) => Reply::error(409, "SHA does not match HEAD of source branch"),
        Err(NotMerged::Conflict) => Reply::error(422, "Branch cannot be merged"),
        Err(_) => Reply::error(405, "405 Method Not Allowed"),
    }
}

/// Adds a merge request to the train, at once or when its conditions are met.
pub(super) fn add_to_train(forge: &mut ForgeState, request: &ApiRequest, path: &str, number: u64) -> Option<Reply> {
    let pull = forge.projects.get(path)?.pull_requests.get(&number)?;
    let method = if request.flag("squash") { MergeMethod::Squash } else { MergeMethod::Merge };
    let waits = request.flag("auto_merge") || request.flag("when_pipeline_succeeds");
    if request.text("sha").is_some_and(|sha| sha != pull.sha) {
        return Some(Reply::error(409, &format!("SHA does not match HEAD of source branch: {}", pull.sha)));
    }
    if pull.is_scheduled() {
        return Some(Reply::error(409, "Merge request is already set to Auto-Merge"));
    }
    if !forge.has_queue(path) {
        return Some(Reply::error(400, "400 Bad request - Merge trains are not enabled for this project"));
    }
    let status = match (forge.may_merge(path, number, None, method), forge.is_ready(path, number)) {
        (Ok(()), true) => {
            forge.enqueue(path, number, request.actor(), Some(method));
            201
        }
        (Ok(()), false) if waits => {
            forge.merge_later(path, number, request.actor(), method);
            202
        }
        _ => return Some(Reply::error(400, "400 Bad request - Failed to merge")),
    };
    let pulls = forge.projects.get(path)?.pull_requests.iter();
    let cars = pulls.filter(|(_, pull)| pull.queued.is_some()).map(|(number, pull)| {
        json!({ "id": number, "merge_request": { "iid": number }, "status": "idle", "target_branch": pull.base })
    });
    Some(Reply::new(status, cars.collect()).changed("merge_when_ready"))
}

/// Status 201 also for a failure.
pub(super) fn cancel(forge: &mut ForgeState, request: &ApiRequest, path: &str, number: u64) -> Option<Reply> {
    forge.projects.get(path)?.pull_requests.get(&number)?;
    Some(match forge.unschedule(path, number, request.actor()) {
        true => Reply::new(201, json!({ "status": "success" })).changed("cancel_merge"),
        false => {
            let message = "Can't cancel the automatic merge";
            Reply::new(201, json!({ "message": message, "status": "error", "http_status": 406 }))
        }
    })
}
