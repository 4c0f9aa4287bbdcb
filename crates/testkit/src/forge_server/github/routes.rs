//! Which request does what; see <https://docs.github.com/en/rest>.

use serde_json::json;

use super::objects::{api, me, missing};
use super::reads::Reading;
use super::{changes, graphql};
use crate::forge_server::access;
use crate::forge_server::api_request::ApiRequest;
use crate::forge_server::flavor::Flavor;
use crate::forge_server::reply::Reply;
use crate::forge_server::state::ForgeState;

pub(in crate::forge_server) fn answer(forge: &mut ForgeState, request: &ApiRequest) -> Reply {
    if forge.rate.remaining == 0 {
        return limits(Reply::error(403, "API rate limit exceeded for user ID 1."), forge);
    }
    let reply = route(forge, request);
    limits(reply, forge)
}

/// Adds the headers that every answer has, except the number of requests that are left.
fn limits(reply: Reply, forge: &ForgeState) -> Reply {
    reply
        .header("x-github-request-id", "C0DE:1:2:3")
        .header("x-github-enterprise-version", forge.version.clone())
        .header("x-ratelimit-limit", forge.rate.limit.to_string())
        .header("x-ratelimit-reset", forge.rate.reset.to_string())
        .header("x-ratelimit-resource", "core")
}

fn route(forge: &mut ForgeState, request: &ApiRequest) -> Reply {
    let parts: Vec<&str> = request.parts.iter().map(String::as_str).collect();
    let is_read = request.method == "GET";
    match parts.as_slice() {
        ["meta"] if is_read => Reply::ok(json!({
            "verifiable_password_authentication": false,
            "installed_version": forge.version,
        })),
        ["user"] if is_read => match request.login.as_deref() {
            Some(login) => {
                let reply = Reply::ok(me(&request.base, &api(request), login));
                match &forge.scopes {
                    Some(scopes) if scopes.is_empty() => reply,
                    scopes => reply.header("x-oauth-scopes", scopes.as_deref().unwrap_or("repo, workflow")),
                }
            }
            None => access::token_required(Flavor::GitHub),
        },
        ["graphql"] if !is_read => graphql::answer(forge, request),
        ["repos", owner, name, rest @ ..] => {
            let path = format!("{owner}/{name}");
            if let Some(new) = forge.moved.get(&path).and_then(|new| forge.projects.get(new)) {
                let rest: String = rest.iter().map(|part| format!("/{part}")).collect();
                let query = request.target.split_once('?').map(|(_, query)| format!("?{query}")).unwrap_or_default();
                let url = format!("{}/repositories/{}{rest}{query}", api(request), new.id);
                let body = json!({ "message": "Moved Permanently", "url": url, "documentation_url": "https://docs.github.com" });
                return Reply::new(301, body).header("location", url);
            }
            in_project(forge, request, &path, rest)
        }
        ["repositories", id, rest @ ..] => {
            let path = forge.projects.iter().find(|(_, project)| project.id.to_string() == *id);
            match path.map(|(path, _)| path.clone()) {
                Some(path) => in_project(forge, request, &path, rest),
                None => missing(),
            }
        }
        _ => missing(),
    }
}

fn in_project(forge: &mut ForgeState, request: &ApiRequest, path: &str, rest: &[&str]) -> Reply {
    let Some((path, project)) = forge.visible(path, request.login.as_deref()) else { return missing() };
    if request.method == "GET" {
        return Reading { forge, request, path, project }.answer(rest);
    }
    let path = path.to_owned();
    changes::answer(forge, request, &path, rest)
}
