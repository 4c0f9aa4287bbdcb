//! The queries and mutations that the REST API does not have.

use serde_json::{Value, json};

use crate::forge_server::access;
use crate::forge_server::api_request::ApiRequest;
use crate::forge_server::changes::Edit;
use crate::forge_server::flavor::Flavor;
use crate::forge_server::issue::Subject;
use crate::forge_server::merging::NotMerged;
use crate::forge_server::pull_request::MergeMethod;
use crate::forge_server::reply::Reply;
use crate::forge_server::state::{ForgeState, time};

/// Status 200 also for errors, which are in the body.
pub(super) fn answer(forge: &mut ForgeState, request: &ApiRequest) -> Reply {
    if request.login.is_none() {
        return access::token_required(Flavor::GitHub);
    }
    let query = request.text("query").unwrap_or_default();
    let variables = &request.body["variables"];
    if query.starts_with("query") {
        return read(forge, request, query);
    }
    let Some((path, number)) = variables["id"].as_str().and_then(|id| pull_of(forge, id)) else {
        let id = variables["id"].as_str().unwrap_or_default();
        return failed(&format!("Could not resolve to a node with the global id of '{id}'"));
    };
    let names = [
        "convertPullRequestToDraft",
        "markPullRequestReadyForReview",
        "enablePullRequestAutoMerge",
        "disablePullRequestAutoMerge",
        "enqueuePullRequest",
        "dequeuePullRequest",
    ];
    let actor = request.actor();
    match names.into_iter().find(|name| query.contains(name)) {
        Some("enablePullRequestAutoMerge") => auto_merge(forge, request, &path, number),
        Some("enqueuePullRequest") => enqueue(forge, request, &path, number),
        Some("disablePullRequestAutoMerge") => match forge.disable_auto_merge(&path, number, actor) {
            true => done("disablePullRequestAutoMerge").changed("cancel_merge"),
            false => failed("Can't disable auto-merge for this pull request."),
        },
        Some("dequeuePullRequest") => match forge.dequeue(&path, number, actor) {
            true => done("dequeuePullRequest").changed("cancel_merge"),
            false => failed(&format!("Failed to remove PR #{number} from the merge queue")),
        },
        Some(name) => {
            let draft = Some(name == "convertPullRequestToDraft");
            let edit = Edit { draft, ..Edit::default() };
            forge.edit(&path, Subject::PullRequest(number), actor, edit);
            done(name).changed("edit_pull_request")
        }
        None => failed("Parse error on the query"),
    }
}

/// A query about a repository.
fn read(forge: &ForgeState, request: &ApiRequest, query: &str) -> Reply {
    let variables = &request.body["variables"];
    let [owner, name] = ["owner", "name"].map(|name| variables[name].as_str().unwrap_or_default());
    let path = format!("{owner}/{name}");
    let Some((_, project)) = forge.visible(&path, request.login.as_deref()) else {
        return not_found(&format!("Could not resolve to a Repository with the name '{path}'."));
    };
    if query.contains("mergeQueue(") {
        let queue = project.settings.has_merge_queue.then(|| json!({ "id": format!("MQ_{}", project.id) }));
        return data(json!({ "mergeQueue": queue }));
    }
    let number = variables["number"].as_u64().unwrap_or_default();
    let Some(pull) = project.pull_requests.get(&number) else {
        return not_found(&format!("Could not resolve to a PullRequest with the number of {number}."));
    };
    data(json!({ "pullRequest": {
        "id": format!("PR_{}_{number}", project.id), "headRefOid": pull.sha,
        "isMergeQueueEnabled": project.settings.has_merge_queue, "isInMergeQueue": pull.queued.is_some(), "autoMergeRequest": pull.auto_merge.map(|_| json!({ "enabledAt": time(pull.issue.updated) })),
    } }))
}

/// With a queue, one that is ready is added to it.
fn auto_merge(forge: &mut ForgeState, request: &ApiRequest, path: &str, number: u64) -> Reply {
    let variables = &request.body["variables"];
    let method = match variables["method"].as_str() {
        Some("SQUASH") => MergeMethod::Squash,
        Some("REBASE") => MergeMethod::Rebase,
        _ => MergeMethod::Merge,
    };
    let done = || done("enablePullRequestAutoMerge").changed("merge_when_ready");
    match forge.may_merge(path, number, variables["head"].as_str(), method) {
        Ok(()) if forge.is_ready(path, number) && forge.has_queue(path) => {
            forge.enqueue(path, number, request.actor(), None);
            done()
        }
        Ok(()) if forge.is_ready(path, number) => failed("Pull request Pull request is in clean status"),
        Ok(()) => {
            forge.merge_later(path, number, request.actor(), method);
            done()
        }
        Err(why) => not_scheduled(&why),
    }
}

/// The queue takes only what is ready.
fn enqueue(forge: &mut ForgeState, request: &ApiRequest, path: &str, number: u64) -> Reply {
    let head = request.body["variables"]["head"].as_str();
    if !forge.has_queue(path) {
        return failed("Pull request The base branch does not require a merge queue");
    }
    let pull = forge.projects.get(path).and_then(|project| project.pull_requests.get(&number));
    if pull.is_some_and(|pull| pull.queued.is_some()) {
        return failed("Pull request is already in the queue");
    }
    match (forge.may_merge(path, number, head, MergeMethod::Squash), forge.unmet(path, number)) {
        (Ok(()), None) => {
            forge.enqueue(path, number, request.actor(), None);
            done("enqueuePullRequest").changed("merge_when_ready")
        }
        (Ok(()), Some(condition)) => failed(&format!("Pull request {condition}")),
        (Err(why), _) => not_scheduled(&why),
    }
}

fn not_scheduled(why: &NotMerged) -> Reply {
    failed(match why {
        NotMerged::Moved => "Head sha didn't match expected head sha",
        NotMerged::Draft => "Pull request Pull request is in draft state",
        _ => "Pull request Pull request is in unstable status",
    })
}

fn pull_of(forge: &ForgeState, id: &str) -> Option<(String, u64)> {
    let (project, number) = id.strip_prefix("PR_")?.split_once('_')?;
    let (project, number): (u64, u64) = (project.parse().ok()?, number.parse().ok()?);
    let (path, project) = forge.projects.iter().find(|(_, known)| known.id == project)?;
    project.pull_requests.contains_key(&number).then(|| (path.clone(), number))
}

fn done(name: &str) -> Reply {
    Reply::ok(json!({ "data": { name: { "clientMutationId": null } } }))
}

fn data(repository: Value) -> Reply {
    Reply::ok(json!({ "data": { "repository": repository } }))
}

fn not_found(message: &str) -> Reply {
    let errors = json!([{ "type": "NOT_FOUND", "path": ["repository"], "message": message }]);
    Reply::ok(json!({ "data": { "repository": null }, "errors": errors }))
}

fn failed(message: &str) -> Reply {
    Reply::ok(json!({ "data": null, "errors": [{ "type": "UNPROCESSABLE", "message": message }] }))
}
