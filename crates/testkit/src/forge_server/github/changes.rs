//! Requests that change something of a project.

use serde_json::{Value, json};

use super::authoring;
use super::objects::{api, invalid, label, missing, reaction};
use super::view::View;
use crate::forge_server::access;
use crate::forge_server::api_request::ApiRequest;
use crate::forge_server::changes::Edit;
use crate::forge_server::event::EventKind;
use crate::forge_server::flavor::Flavor;
use crate::forge_server::hook::Hook;
use crate::forge_server::issue::Subject;
use crate::forge_server::merging::{NotMerged, NotOpened, Opening};
use crate::forge_server::permission::Permission;
use crate::forge_server::pull_request::MergeMethod;
use crate::forge_server::reply::Reply;
use crate::forge_server::state::ForgeState;

pub(super) fn answer(forge: &mut ForgeState, request: &ApiRequest, path: &str, rest: &[&str]) -> Reply {
    let Some(actor) = request.login.clone() else { return access::token_required(Flavor::GitHub) };
    let permission = forge.permission(path, &actor);
    if forge.projects.get(path).is_some_and(|project| project.settings.archived) {
        return Reply::error(403, "Repository was archived so is read-only.");
    }
    let at = |number: &str| number.parse().ok();
    let reply = match (request.method.as_str(), rest) {
        ("POST", ["issues"]) => authoring::open_issue(forge, request, path, permission),
        ("POST", ["pulls", number, "reviews"]) => {
            at(number).and_then(|number| authoring::review(forge, request, path, number))
        }
        ("POST", ["labels"]) if permission >= Permission::Write => authoring::create_label(forge, request, path),
        ("POST", ["issues", number, "comments"]) => {
            at(number).and_then(|number| add_comment(forge, request, path, number))
        }
        ("PATCH", ["issues", "comments", id]) => at(id).and_then(|id| edit_comment(forge, request, path, id)),
        ("POST", ["issues", "comments", id, "reactions"]) => at(id).and_then(|id| react(forge, request, path, id)),
        ("POST", ["issues", number, "labels"]) if permission >= Permission::Triage => {
            at(number).and_then(|number| add_labels(forge, request, path, number))
        }
        ("DELETE", ["issues", number, "labels", name]) if permission >= Permission::Triage => {
            at(number).and_then(|number| remove_label(forge, request, path, number, name))
        }
        ("PATCH", ["issues" | "pulls", number]) if permission >= Permission::Triage => {
            at(number).and_then(|number| edit(forge, request, path, number, rest[0] == "pulls"))
        }
        ("POST", ["pulls"]) => Some(open(forge, request, path)),
        ("POST", ["pulls", number, "requested_reviewers"]) => {
            at(number).and_then(|number| ask_for_review(forge, request, path, number))
        }
        ("PUT", ["pulls", number, "merge"]) if permission >= Permission::Write => {
            at(number).map(|number| merge(forge, request, path, number))
        }
        ("DELETE", ["git", "refs", "heads", branch @ ..]) if permission >= Permission::Write => {
            match forge.delete_branch(path, &branch.join("/")) {
                true => Some(Reply::empty().changed("delete_branch")),
                false => Some(Reply::error(422, "Reference does not exist")),
            }
        }
        ("POST", ["hooks"]) if permission >= Permission::Admin => Some(create_hook(forge, request, path)),
        ("POST", ["hooks"]) => None,
        _ if permission < Permission::Write => {
            Some(Reply::error(403, "Resource not accessible by personal access token"))
        }
        _ => None,
    };
    reply.unwrap_or_else(missing)
}

fn add_comment(forge: &mut ForgeState, request: &ApiRequest, path: &str, number: u64) -> Option<Reply> {
    if forge.projects.get(path)?.deleted.contains(&number) {
        return Some(Reply::error(410, "This issue was deleted"));
    }
    let subject = forge.subject_at(path, number)?;
    let Some(body) = request.text("body").filter(|body| !body.trim().is_empty()) else {
        return Some(invalid(json!([{ "resource": "IssueComment", "field": "body", "code": "missing_field" }])));
    };
    let id = forge.add_comment(path, subject, request.actor(), body)?;
    comment(forge, request, path, subject, id).map(|body| Reply::new(201, body).changed("comment"))
}

fn comment(forge: &ForgeState, request: &ApiRequest, path: &str, subject: Subject, id: u64) -> Option<Value> {
    let view = View::of(forge, request, path)?;
    let comment = view.project.subject(subject)?.comments.iter().find(|comment| comment.id == id)?;
    Some(view.comment(subject, comment))
}

fn edit_comment(forge: &mut ForgeState, request: &ApiRequest, path: &str, id: u64) -> Option<Reply> {
    let subject = forge.projects.get(path)?.subject_of_comment(id)?;
    forge.edit_comment(path, subject, id, request.actor(), request.text("body")?)?;
    comment(forge, request, path, subject, id).map(|body| Reply::ok(body).changed("edit_comment"))
}

fn react(forge: &mut ForgeState, request: &ApiRequest, path: &str, id: u64) -> Option<Reply> {
    const NAMES: &[&str] = &["+1", "-1", "laugh", "confused", "heart", "hooray", "rocket", "eyes"];
    let Some(name) = request.text("content").filter(|name| NAMES.contains(name)) else {
        return Some(invalid(json!([{ "resource": "Reaction", "field": "content", "code": "invalid" }])));
    };
    let subject = forge.projects.get(path)?.subject_of_comment(id)?;
    let is_new = forge.react(path, subject, id, request.actor(), name)?;
    let status = if is_new { 201 } else { 200 };
    Some(Reply::new(status, reaction(request, id, name, forge.now)).changed("react"))
}

/// Unknown labels are created. Clients send an object or only the list.
fn add_labels(forge: &mut ForgeState, request: &ApiRequest, path: &str, number: u64) -> Option<Reply> {
    let subject = forge.subject_at(path, number)?;
    let list = |body: &Value| Some(body.as_array()?.iter().filter_map(Value::as_str).map(str::to_owned).collect());
    let names: Vec<String> = request.texts("labels").or_else(|| list(&request.body))?;
    forge.add_labels(path, subject, request.actor(), &names)?;
    labels(forge, request, path, subject)
}

fn labels(forge: &ForgeState, request: &ApiRequest, path: &str, subject: Subject) -> Option<Reply> {
    let repo = format!("{}/repos/{path}", api(request));
    let names = &forge.projects.get(path)?.subject(subject)?.labels;
    Some(Reply::ok(names.iter().map(|name| label(&repo, name)).collect()).changed("label"))
}

fn remove_label(forge: &mut ForgeState, request: &ApiRequest, path: &str, number: u64, name: &str) -> Option<Reply> {
    let subject = forge.subject_at(path, number)?;
    if !forge.projects.get(path)?.subject(subject)?.labels.iter().any(|label| label == name) {
        return Some(Reply::error(404, "Label does not exist"));
    }
    forge.remove_label(path, subject, request.actor(), name)?;
    labels(forge, request, path, subject)
}

fn edit(forge: &mut ForgeState, request: &ApiRequest, path: &str, number: u64, is_pull: bool) -> Option<Reply> {
    let subject = match is_pull {
        true => Subject::PullRequest(number),
        false => forge.subject_at(path, number)?,
    };
    let assignees = request.texts("assignees");
    if let Some(unknown) = assignees.iter().flatten().find(|login| !forge.users.contains(*login)) {
        return Some(invalid(
            json!([{ "value": unknown, "resource": "Issue", "field": "assignees", "code": "invalid" }]),
        ));
    }
    let edit = Edit {
        title: request.text("title").map(str::to_owned),
        body: request.text("body").map(str::to_owned),
        closed: request.text("state").map(|state| state == "closed"),
        labels: request.texts("labels"),
        assignees,
        draft: None,
    };
    forge.edit(path, subject, request.actor(), edit)?;
    let view = View::of(forge, request, path)?;
    let body = match is_pull {
        true => view.full_pull(number, view.project.pull_requests.get(&number)?),
        false => view.subject(subject)?,
    };
    Some(Reply::ok(body).changed(if is_pull { "edit_pull_request" } else { "edit_issue" }))
}

fn open(forge: &mut ForgeState, request: &ApiRequest, path: &str) -> Reply {
    let owner = path.split('/').next().unwrap_or_default();
    let [title, head, base] = ["title", "head", "base"].map(|name| request.text(name).unwrap_or_default().to_owned());
    let head = head.strip_prefix(&format!("{owner}:")).unwrap_or(&head).to_owned();
    let body = request.text("body").map(str::to_owned);
    let new = Opening { title, body, head: head.clone(), base: base.clone(), draft: request.flag("draft") };
    let custom =
        |message: String| invalid(json!([{ "resource": "PullRequest", "code": "custom", "message": message }]));
    match forge.open_pull(path, request.actor(), new) {
        Ok(number) => {
            let view = View::of(forge, request, path);
            let pull = view.and_then(|view| Some(view.full_pull(number, view.project.pull_requests.get(&number)?)));
            Reply::new(201, pull.unwrap_or_default()).changed("open_pull_request")
        }
        Err(NotOpened::Exists(_)) => custom(format!("A pull request already exists for {owner}:{head}.")),
        Err(NotOpened::NoCommits) => custom(format!("No commits between {base} and {head}")),
        Err(NotOpened::NoHead) => invalid(json!([{ "resource": "PullRequest", "field": "head", "code": "invalid" }])),
        Err(NotOpened::NoBase) => invalid(json!([{ "resource": "PullRequest", "field": "base", "code": "invalid" }])),
    }
}

fn ask_for_review(forge: &mut ForgeState, request: &ApiRequest, path: &str, number: u64) -> Option<Reply> {
    let logins = request.texts("reviewers")?;
    let author = forge.projects.get(path)?.pull_requests.get(&number)?.issue.author.clone();
    if logins.iter().any(|login| Some(login) == author.as_ref()) {
        return Some(Reply::error(422, "Review cannot be requested from pull request author."));
    }
    if logins.iter().any(|login| !forge.users.contains(login)) {
        let message = "Reviews may only be requested from collaborators. One or more of the users or teams you \
                       specified is not a collaborator of the repository.";
        return Some(Reply::error(422, message));
    }
    forge.ask_for_review(path, number, &logins)?;
    let view = View::of(forge, request, path)?;
    let pull = view.pull(number, view.project.pull_requests.get(&number)?);
    Some(Reply::new(201, Value::Object(pull)).changed("request_review"))
}

fn merge(forge: &mut ForgeState, request: &ApiRequest, path: &str, number: u64) -> Reply {
    let method = match request.text("merge_method") {
        Some("squash") => MergeMethod::Squash,
        Some("rebase") => MergeMethod::Rebase,
        _ => MergeMethod::Merge,
    };
    match forge.merge_now(path, number, request.actor(), request.text("sha"), method) {
        Ok(commit) => {
            let body = json!({ "sha": commit, "merged": true, "message": "Pull Request successfully merged" });
            Reply::ok(body).changed("merge")
        }
        Err(NotMerged::Missing) => missing(),
        Err(NotMerged::Moved) => Reply::error(409, "Head branch was modified. Review and try the merge again."),
        Err(NotMerged::Draft) => Reply::error(405, "Pull Request is still a draft"),
        Err(NotMerged::Method) => Reply::error(405, "The merge method is not allowed on this repository."),
        Err(NotMerged::QueueOnly) => {
            Reply::error(405, "Repository rule violations found\n\nChanges must be made through the merge queue\n\n")
        }
        Err(NotMerged::Queued) => Reply::error(405, "Pull Request is in the merge queue"),
        Err(NotMerged::Held) => Reply::error(405, &forge.unmet(path, number).unwrap_or_default()),
        Err(NotMerged::Closed | NotMerged::Conflict | NotMerged::Checking) => {
            Reply::error(405, "Pull Request is not mergeable")
        }
    }
}

fn create_hook(forge: &mut ForgeState, request: &ApiRequest, path: &str) -> Reply {
    let config = |name: &str| request.body["config"][name].as_str().unwrap_or_default().to_owned();
    let (url, secret) = (config("url"), config("secret"));
    let hooks = forge.projects.get(path).map(|project| project.hooks.as_slice()).unwrap_or_default();
    if hooks.iter().any(|hook| hook.url == url) {
        let message = "Hook already exists on this repository";
        return invalid(json!([{ "resource": "Hook", "code": "custom", "message": message }]));
    }
    let hook = Hook {
        id: forge.new_id(),
        url,
        secret,
        active: request.body["active"] != false,
        events: request.texts("events").unwrap_or_else(|| vec!["push".to_owned()]),
    };
    let id = hook.id;
    forge.project_mut(path).hooks.push(hook.clone());
    forge.record(path, request.actor(), EventKind::Ping { hook: id });
    let body = View::of(forge, request, path).map(|view| view.hook(&hook)).unwrap_or_default();
    Reply::new(201, body).changed("create_hook")
}
