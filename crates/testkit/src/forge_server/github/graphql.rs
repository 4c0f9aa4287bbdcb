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
    let names = ["convertPullRequestToDraft", "markPullRequestReadyForReview", "enablePullRequestAutoMerge"];
    match names.into_iter().find(|name| query.contains(name)) {
        Some("enablePullRequestAutoMerge") => auto_merge(forge, variables, &path, number),
        Some(name) => {
            let draft = Some(name == "convertPullRequestToDraft");
            let edit = Edit { draft, ..Edit::default() };
            forge.edit(&path, Subject::PullRequest(number), request.actor(), edit);
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
        return data(json!({ "mergeQueue": null }));
    }
    let number = variables["number"].as_u64().unwrap_or_default();
    let Some(pull) = project.pull_requests.get(&number) else {
        return not_found(&format!("Could not resolve to a PullRequest with the number of {number}."));
    };
    data(json!({ "pullRequest": {
        "id": format!("PR_{}_{number}", project.id), "headRefOid": pull.sha, "isMergeQueueEnabled": false,
        "isInMergeQueue": false, "autoMergeRequest": pull.auto_merge.map(|_| json!({ "enabledAt": time(pull.issue.updated) })),
    } }))
}

fn auto_merge(forge: &mut ForgeState, variables: &Value, path: &str, number: u64) -> Reply {
    let method = match variables["method"].as_str() {
        Some("SQUASH") => MergeMethod::Squash,
        Some("REBASE") => MergeMethod::Rebase,
        _ => MergeMethod::Merge,
    };
    match forge.may_merge(path, number, variables["head"].as_str(), method) {
        Ok(()) if forge.is_ready(path, number) => failed("Pull request Pull request is in clean status"),
        Ok(()) => {
            forge.merge_later(path, number, method);
            done("enablePullRequestAutoMerge").changed("merge_when_ready")
        }
        Err(NotMerged::Moved) => failed("Head sha didn't match expected head sha"),
        Err(NotMerged::Draft) => failed("Pull request Pull request is in draft state"),
        Err(_) => failed("Pull request Pull request is in unstable status"),
    }
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
