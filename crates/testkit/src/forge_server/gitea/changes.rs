//! Requests that change something of a project.

use serde_json::{Value, json};

use super::authoring;
use super::view::{View, label, missing, user};
use crate::forge_server::access;
use crate::forge_server::api_request::ApiRequest;
use crate::forge_server::changes::Edit;
use crate::forge_server::flavor::Flavor;
use crate::forge_server::hook::Hook;
use crate::forge_server::issue::Subject;
use crate::forge_server::merging::{NotMerged, NotOpened, Opening};
use crate::forge_server::permission::Permission;
use crate::forge_server::pull_request::{MergeMethod, PrState, PullRequest};
use crate::forge_server::reply::Reply;
use crate::forge_server::state::{ForgeState, id_of, time};

/// Titles of drafts begin with one of these.
const DRAFT_PREFIXES: &[&str] = &["WIP:", "[WIP]"];

pub(super) fn answer(forge: &mut ForgeState, request: &ApiRequest, path: &str, rest: &[&str]) -> Reply {
    let Some(actor) = request.login.clone() else { return access::token_required(forge.flavor) };
    if forge.projects.get(path).is_some_and(|project| project.settings.archived) {
        return Reply::error(423, "Repo is archived");
    }
    let permission = forge.permission(path, &actor);
    let at = |number: &str| number.parse().ok();
    let reply = match (request.method.as_str(), rest) {
        ("POST", ["issues", number, "comments"]) => {
            at(number).and_then(|number| add_comment(forge, request, path, number))
        }
        ("PATCH", ["issues", "comments", id]) => at(id).and_then(|id| edit_comment(forge, request, path, id)),
        ("POST", ["issues", "comments", id, "reactions"]) => at(id).and_then(|id| react(forge, request, path, id)),
        ("POST", ["issues"]) => authoring::open_issue(forge, request, path, permission),
        ("POST", ["pulls", number, "reviews"]) => {
            at(number).and_then(|number| authoring::review(forge, request, path, number))
        }
        ("POST", ["pulls"]) => Some(open(forge, request, path)),
        _ if permission < Permission::Write => {
            Some(Reply::error(403, "user should have a permission to write to a repo"))
        }
        ("POST", ["labels"]) => Some(create_label(forge, request, path)),
        ("POST", ["issues", number, "labels"]) => {
            at(number).and_then(|number| add_labels(forge, request, path, number))
        }
        ("DELETE", ["issues", number, "labels", id]) => {
            at(number).and_then(|number| remove_label(forge, request, path, number, id))
        }
        ("PATCH", ["issues" | "pulls", number]) => {
            at(number).and_then(|number| edit(forge, request, path, number, rest[0] == "pulls"))
        }
        ("POST", ["pulls", number, "requested_reviewers"]) => {
            at(number).and_then(|number| ask_for_review(forge, request, path, number))
        }
        ("POST", ["pulls", number, "merge"]) => at(number).map(|number| merge(forge, request, path, number)),
        ("DELETE", ["pulls", number, "merge"]) => at(number)
            .and_then(|number| forge.unschedule(path, number, &actor).then(|| Reply::empty().changed("cancel_merge"))),
        ("DELETE", ["branches", branch]) => {
            forge.delete_branch(path, branch).then(|| Reply::empty().changed("delete_branch"))
        }
        ("POST", ["hooks"]) if permission >= Permission::Admin => Some(create_hook(forge, request, path)),
        ("POST", ["hooks"]) => Some(Reply::error(403, "user should be an owner or a collaborator with admin write")),
        _ => None,
    };
    reply.unwrap_or_else(|| missing(request))
}

fn add_comment(forge: &mut ForgeState, request: &ApiRequest, path: &str, number: u64) -> Option<Reply> {
    let subject = forge.subject_at(path, number)?;
    let Some(body) = request.text("body") else { return Some(Reply::error(422, "[]: Required")) };
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
        return Some(Reply::error(403, "the reaction is not allowed"));
    };
    let subject = forge.projects.get(path)?.subject_of_comment(id)?;
    let is_new = forge.react(path, subject, id, request.actor(), name)?;
    let body = json!({ "user": user(&request.base, request.actor()), "content": name, "created_at": time(forge.now) });
    Some(Reply::new(if is_new { 201 } else { 200 }, body).changed("react"))
}

fn create_label(forge: &mut ForgeState, request: &ApiRequest, path: &str) -> Reply {
    let Some(name) = request.text("name").filter(|_| request.text("color").is_some()) else {
        return Reply::error(422, "[Name]: Required");
    };
    forge.project_mut(path).labels.insert(name.to_owned());
    Reply::new(201, label(&request.base, path, name)).changed("create_label")
}

/// Labels by their IDs; unknown ones are ignored. Newer versions take names too.
fn add_labels(forge: &mut ForgeState, request: &ApiRequest, path: &str, number: u64) -> Option<Reply> {
    let subject = forge.subject_at(path, number)?;
    let (ids, names) = (request.ids("labels")?, request.texts("labels")?);
    let known = forge.projects.get(path)?.label_names();
    let wanted: Vec<String> =
        known.into_iter().filter(|name| ids.contains(&id_of(name)) || names.contains(name)).collect();
    forge.add_labels(path, subject, request.actor(), &wanted)?;
    let labels = &forge.projects.get(path)?.subject(subject)?.labels;
    Some(Reply::ok(labels.iter().map(|name| label(&request.base, path, name)).collect()).changed("label"))
}

fn remove_label(forge: &mut ForgeState, request: &ApiRequest, path: &str, number: u64, id: &str) -> Option<Reply> {
    let subject = forge.subject_at(path, number)?;
    let known = forge.projects.get(path)?.label_names();
    let Some(name) = known.into_iter().find(|name| id_of(name).to_string() == id) else {
        return Some(Reply::error(422, "label does not exist"));
    };
    forge.remove_label(path, subject, request.actor(), &name)?;
    Some(Reply::empty().changed("label"))
}

fn is_draft(title: &str) -> bool {
    let begins = |prefix: &&str| title.get(..prefix.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(prefix));
    DRAFT_PREFIXES.iter().any(begins)
}

fn edit(forge: &mut ForgeState, request: &ApiRequest, path: &str, number: u64, is_pull: bool) -> Option<Reply> {
    let subject = match is_pull {
        true => Subject::PullRequest(number),
        false => forge.subject_at(path, number)?,
    };
    let assignees = request.texts("assignees");
    if let Some(unknown) = assignees.iter().flatten().find(|login| !forge.users.contains(*login)) {
        return Some(Reply::error(422, &format!("Assignee does not exist: [name: {unknown}]")));
    }
    let edit = Edit {
        title: request.text("title").map(str::to_owned),
        body: request.text("body").map(str::to_owned),
        closed: request.text("state").map(|state| state == "closed"),
        labels: None,
        assignees,
        draft: request.text("title").map(is_draft),
    };
    forge.edit(path, subject, request.actor(), edit)?;
    let view = View::of(forge, request, path)?;
    let body = match is_pull {
        true => view.pull(number, view.project.pull_requests.get(&number)?),
        false => view.subject(subject)?,
    };
    Some(Reply::new(201, body).changed(if is_pull { "edit_pull_request" } else { "edit_issue" }))
}

fn open(forge: &mut ForgeState, request: &ApiRequest, path: &str) -> Reply {
    let [title, head, base] = ["title", "head", "base"].map(|name| request.text(name).unwrap_or_default().to_owned());
    let (draft, body) = (is_draft(&title), request.text("body").map(str::to_owned));
    let new = Opening { title, body, head, base, draft };
    match forge.open_pull(path, request.actor(), new) {
        Ok(number) => {
            let view = View::of(forge, request, path);
            let pull = view.and_then(|view| Some(view.pull(number, view.project.pull_requests.get(&number)?)));
            Reply::new(201, pull.unwrap_or_default()).changed("open_pull_request")
        }
        Err(NotOpened::Exists(number)) => Reply::error(
            409,
            &format!("pull request already exists for these targets [id: {number}, issue_id: {number}]"),
        ),
        Err(NotOpened::NoCommits) => {
            Reply::error(422, "Invalid PullRequest: There are no changes between the head and the base")
        }
        Err(NotOpened::NoHead | NotOpened::NoBase) => missing(request),
    }
}

fn ask_for_review(forge: &mut ForgeState, request: &ApiRequest, path: &str, number: u64) -> Option<Reply> {
    let logins = request.texts("reviewers")?;
    let author = forge.projects.get(path)?.pull_requests.get(&number)?.issue.author.clone();
    if logins.iter().any(|login| Some(login) == author.as_ref()) {
        return Some(Reply::error(422, "poster of pr can't be reviewer"));
    }
    if let Some(unknown) = logins.iter().find(|login| !forge.users.contains(*login)) {
        return Some(Reply::error(404, &format!("user does not exist [name: {unknown}]")));
    }
    forge.ask_for_review(path, number, &logins)?;
    let view = View::of(forge, request, path)?;
    let pull = view.project.pull_requests.get(&number)?;
    let requests = logins.iter().map(|login| view.review_request(number, pull, login));
    Some(Reply::new(201, requests.collect()).changed("request_review"))
}

fn merge(forge: &mut ForgeState, request: &ApiRequest, path: &str, number: u64) -> Reply {
    let method = match request.text("Do") {
        Some("merge") => MergeMethod::Merge,
        Some("squash") => MergeMethod::Squash,
        Some("rebase") => MergeMethod::Rebase,
        _ => return Reply::error(422, "[Do]: Required"),
    };
    let expected = request.text("head_commit_id").filter(|commit| !commit.is_empty());
    // To schedule a merge, the server ignores the expected commit.
    let may = forge.may_merge(path, number, None, method);
    if may.is_ok() && request.flag("merge_when_checks_succeed") && !forge.is_ready(path, number) {
        if is_scheduled(forge, path, number) {
            let message =
                format!("pull request is already scheduled to auto merge when checks succeed [pull_id: {number}]");
            return Reply::error(409, &message);
        }
        forge.merge_later(path, number, request.actor(), method);
        return Reply { text: Some(String::new()), ..Reply::new(201, Value::Null) }.changed("merge_when_ready");
    }
    match forge.merge_now(path, number, request.actor(), expected, method) {
        Ok(_) => Reply { text: Some(String::new()), ..Reply::new(200, Value::Null) }.changed("merge"),
        Err(NotMerged::Missing) => missing(request),
        Err(NotMerged::Moved) => Reply::error(409, "head out of date"),
        Err(NotMerged::Checking) => Reply::error(405, "Please try again later"),
        Err(NotMerged::Draft) => Reply::error(405, "Work in progress PRs cannot be merged"),
        Err(NotMerged::Method) => Reply::error(405, "merge style is not allowed"),
        Err(NotMerged::Conflict) => Reply::error(405, "Please try again later"),
        Err(NotMerged::Held | NotMerged::QueueOnly | NotMerged::Queued) => {
            Reply::error(405, "Does not have enough approvals")
        }
        // One that is merged already is reported alike.
        Err(NotMerged::Closed) if is_merged(forge, path, number) => Reply::error(405, ""),
        Err(NotMerged::Closed) => missing(request),
    }
}

fn is_scheduled(forge: &ForgeState, path: &str, number: u64) -> bool {
    let pulls = forge.projects.get(path).map(|project| &project.pull_requests);
    pulls.and_then(|pulls| pulls.get(&number)).is_some_and(PullRequest::is_scheduled)
}

fn is_merged(forge: &ForgeState, path: &str, number: u64) -> bool {
    let pulls = forge.projects.get(path).map(|project| &project.pull_requests);
    pulls.and_then(|pulls| pulls.get(&number)).is_some_and(|pull| pull.state == PrState::Merged)
}

fn create_hook(forge: &mut ForgeState, request: &ApiRequest, path: &str) -> Reply {
    let config = |name: &str| request.body["config"][name].as_str().unwrap_or_default().to_owned();
    let kind = if forge.flavor == Flavor::Forgejo { "forgejo" } else { "gitea" };
    if request.text("type").is_none_or(|kind| !["gitea", "forgejo"].contains(&kind)) {
        return Reply::error(422, "Invalid hook type");
    }
    let hook = Hook {
        id: forge.new_id(),
        url: config("url"),
        secret: config("secret"),
        active: request.flag("active"),
        events: request.texts("events").unwrap_or_else(|| vec!["push".to_owned()]),
    };
    forge.project_mut(path).hooks.push(hook.clone());
    let body = View::of(forge, request, path).map(|view| view.hook(&hook, kind)).unwrap_or_default();
    Reply::new(201, body).changed("create_hook")
}
