//! Requests that change something of a project.

use serde_json::{Value, json};

use super::authoring;
use super::edits::{edit_of, view};
use super::merge_requests;
use super::view::{missing, no_route, user};
use crate::forge_server::access;
use crate::forge_server::api_request::ApiRequest;
use crate::forge_server::flavor::Flavor;
use crate::forge_server::hook::Hook;
use crate::forge_server::issue::Subject;
use crate::forge_server::permission::Permission;
use crate::forge_server::reply::Reply;
use crate::forge_server::state::ForgeState;

pub(super) fn answer(forge: &mut ForgeState, request: &ApiRequest, path: &str, rest: &[&str]) -> Reply {
    let Some(actor) = request.login.clone() else { return access::token_required(Flavor::GitLab) };
    let permission = forge.permission(path, &actor);
    let forbidden = || Some(Reply::error(403, "403 Forbidden"));
    if forge.projects.get(path).is_some_and(|project| project.settings.archived) {
        return Reply::error(403, "403 Forbidden");
    }
    let at = |number: &str| number.parse().ok();
    let reply = match (request.method.as_str(), rest) {
        ("POST", [word @ ("issues" | "merge_requests"), number, "notes"]) => {
            subject(word, number).and_then(|subject| add_note(forge, request, path, subject))
        }
        ("PUT", [word @ ("issues" | "merge_requests"), number, "notes", id]) => {
            let found = subject(word, number).zip(at(id));
            found.and_then(|(subject, id)| edit_note(forge, request, path, subject, id))
        }
        ("POST", [word @ ("issues" | "merge_requests"), number, "notes", id, "award_emoji"]) => {
            let found = subject(word, number).zip(at(id));
            found.and_then(|(subject, id)| award(forge, request, path, subject, id))
        }
        ("POST", ["issues"]) => Some(authoring::open_issue(forge, request, path, permission)),
        ("POST", ["merge_requests", _, "approve"]) if permission < Permission::Write => {
            Some(Reply::error(401, "401 Unauthorized"))
        }
        ("POST", ["merge_requests", number, "approve"]) => {
            at(number).and_then(|number| authoring::approve(forge, request, path, number))
        }
        ("POST", ["merge_requests", number, "discussions"]) => {
            at(number).and_then(|number| authoring::discuss(forge, request, path, number))
        }
        ("POST", ["merge_requests"]) => Some(merge_requests::open(forge, request, path)),
        ("POST", ["hooks"]) if permission < Permission::Maintain => forbidden(),
        ("POST", ["hooks"]) => Some(create_hook(forge, request, path)),
        ("PUT", ["issues" | "merge_requests", ..]) if permission < Permission::Triage => forbidden(),
        ("PUT", ["issues", number]) => at(number).and_then(|number| edit(forge, request, path, number)),
        ("PUT", ["merge_requests", number]) => {
            at(number).and_then(|number| merge_requests::edit(forge, request, path, number))
        }
        ("PUT", ["merge_requests", _, "merge"]) if permission < Permission::Write => {
            Some(Reply::error(401, "401 Unauthorized"))
        }
        ("PUT", ["merge_requests", number, "merge"]) => {
            at(number).map(|number| merge_requests::merge(forge, request, path, number))
        }
        ("POST", ["merge_trains", ..] | ["merge_requests", _, "cancel_merge_when_pipeline_succeeds"])
            if permission < Permission::Write =>
        {
            Some(Reply::error(401, "401 Unauthorized"))
        }
        ("POST", ["merge_trains", "merge_requests", number]) => {
            at(number).and_then(|number| merge_requests::add_to_train(forge, request, path, number))
        }
        ("POST", ["merge_requests", number, "cancel_merge_when_pipeline_succeeds"]) => {
            at(number).and_then(|number| merge_requests::cancel(forge, request, path, number))
        }
        ("DELETE", ["repository", "branches", _]) if permission < Permission::Write => forbidden(),
        ("DELETE", ["repository", "branches", branch]) => Some(match forge.delete_branch(path, branch) {
            true => Reply::empty().changed("delete_branch"),
            false => Reply::error(404, "404 Branch Not Found"),
        }),
        _ => Some(no_route()),
    };
    reply.unwrap_or_else(missing)
}

fn subject(word: &str, number: &str) -> Option<Subject> {
    let number = number.parse().ok()?;
    Some(if word == "issues" { Subject::Issue(number) } else { Subject::PullRequest(number) })
}

fn note(forge: &ForgeState, request: &ApiRequest, path: &str, subject: Subject, id: u64) -> Option<Value> {
    let notes = view(forge, request, path)?.notes(subject)?;
    notes.into_iter().find(|note| note["id"] == id)
}

fn add_note(forge: &mut ForgeState, request: &ApiRequest, path: &str, subject: Subject) -> Option<Reply> {
    let Some(body) = request.text("body") else { return Some(Reply::new(400, json!({ "error": "body is missing" }))) };
    let id = forge.add_comment(path, subject, request.actor(), body)?;
    note(forge, request, path, subject, id).map(|body| Reply::new(201, body).changed("comment"))
}

fn edit_note(forge: &mut ForgeState, request: &ApiRequest, path: &str, subject: Subject, id: u64) -> Option<Reply> {
    forge.edit_comment(path, subject, id, request.actor(), request.text("body")?)?;
    note(forge, request, path, subject, id).map(|body| Reply::ok(body).changed("edit_comment"))
}

/// One that is there already is reported as missing.
fn award(forge: &mut ForgeState, request: &ApiRequest, path: &str, subject: Subject, id: u64) -> Option<Reply> {
    let name = request.text("name")?;
    if !forge.react(path, subject, id, request.actor(), name)? {
        return Some(Reply::error(404, "404 Award Emoji Name has already been taken Not Found"));
    }
    let body =
        json!({ "id": id + 1, "name": name, "user": user(&request.base, Some(request.actor())), "awardable_id": id });
    Some(Reply::new(201, body).changed("react"))
}

fn edit(forge: &mut ForgeState, request: &ApiRequest, path: &str, number: u64) -> Option<Reply> {
    let subject = Subject::Issue(number);
    let kind = if request.body.get("add_labels").is_some() { "label" } else { "edit_issue" };
    let edit = edit_of(forge, request, path, subject)?;
    forge.edit(path, subject, request.actor(), edit)?;
    let view = view(forge, request, path)?;
    Some(Reply::ok(view.issue(number, view.project.issues.get(&number)?)).changed(kind))
}

fn create_hook(forge: &mut ForgeState, request: &ApiRequest, path: &str) -> Reply {
    let Some(url) = request.text("url") else { return Reply::new(400, json!({ "error": "url is missing" })) };
    let names =
        ["push_events", "issues_events", "note_events", "merge_requests_events", "pipeline_events", "job_events"];
    let hook = Hook {
        id: forge.new_id(),
        url: url.to_owned(),
        secret: request.text("token").unwrap_or_default().to_owned(),
        active: true,
        events: names.into_iter().filter(|name| request.flag(name)).map(str::to_owned).collect(),
    };
    forge.project_mut(path).hooks.push(hook.clone());
    let body = view(forge, request, path).map(|view| view.hook(&hook)).unwrap_or_default();
    Reply::new(201, body).changed("create_hook")
}
