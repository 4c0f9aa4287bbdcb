//! Which request does what; each server documents it at `/api/swagger`.

use serde_json::json;

use super::changes;
use super::reads::Reading;
use super::view::{missing, user};
use crate::forge_server::access;
use crate::forge_server::api_request::ApiRequest;
use crate::forge_server::reply::Reply;
use crate::forge_server::state::ForgeState;

pub(in crate::forge_server) fn answer(forge: &mut ForgeState, request: &ApiRequest) -> Reply {
    if forge.sign_in && request.login.is_none() {
        return Reply::error(403, "Only signed in user is allowed to call APIs.");
    }
    let parts: Vec<&str> = request.parts.iter().map(String::as_str).collect();
    let is_read = request.method == "GET";
    match parts.as_slice() {
        ["version"] if is_read => Reply::ok(json!({ "version": forge.version })),
        ["user"] if is_read => match request.login.as_deref() {
            Some(login) => Reply::ok(user(&request.base, login)),
            None => access::token_required(forge.flavor),
        },
        ["repos", owner, name, rest @ ..] => {
            let path = format!("{owner}/{name}");
            if let Some(new) = forge.moved.get(&path) {
                let url = format!("{}{}", request.base, request.target.replacen(&path, new, 1));
                return Reply::new(301, json!(null)).header("location", url);
            }
            let Some((path, project)) = forge.visible(&path, request.login.as_deref()) else { return missing(request) };
            if is_read {
                return Reading { forge, request, path, project }.answer(rest);
            }
            let path = path.to_owned();
            changes::answer(forge, request, &path, rest)
        }
        // All owners are users.
        _ => missing(request),
    }
}

/// The API below `/api/forgejo`.
pub(in crate::forge_server) fn forgejo(forge: &ForgeState, signed_in: bool, parts: &[String]) -> Reply {
    if forge.sign_in && !signed_in {
        return Reply::error(403, "Only signed in user is allowed to call APIs.");
    }
    match parts {
        [api, v1, version] if (api.as_str(), v1.as_str(), version.as_str()) == ("forgejo", "v1", "version") => {
            Reply::ok(json!({ "version": forge.version }))
        }
        _ => Reply::error(404, "not found"),
    }
}
