//! Which request does what; see <https://docs.gitlab.com/api/rest/>.

use serde_json::json;

use super::changes;
use super::reads::Reading;
use super::view::{no_route, user};
use crate::forge_server::access;
use crate::forge_server::api_request::ApiRequest;
use crate::forge_server::flavor::Flavor;
use crate::forge_server::reply::Reply;
use crate::forge_server::state::ForgeState;

pub(in crate::forge_server) fn answer(forge: &mut ForgeState, request: &ApiRequest) -> Reply {
    route(forge, request)
        .header("x-gitlab-meta", r#"{"correlation_id":"01ABC","version":"1"}"#)
        .header("x-request-id", "01ABC")
        .header("ratelimit-limit", "2000")
        .header("ratelimit-remaining", "1990")
}

fn route(forge: &mut ForgeState, request: &ApiRequest) -> Reply {
    let parts: Vec<&str> = request.parts.iter().map(String::as_str).collect();
    match (request.method.as_str(), parts.as_slice(), request.login.as_deref()) {
        (_, ["version" | "user" | "users" | "personal_access_tokens", ..], None) => {
            access::token_required(Flavor::GitLab)
        }
        ("GET", ["version"], Some(_)) => Reply::ok(
            json!({ "version": forge.version, "revision": "570e7b2abdd", "kas": { "enabled": false }, "enterprise": true }),
        ),
        ("GET", ["user"], Some(login)) => Reply::ok(user(&request.base, Some(login))),
        ("GET", ["users"], Some(_)) => {
            let wanted = request.get("username").unwrap_or_default();
            let found = forge.users.iter().filter(|login| login.eq_ignore_ascii_case(wanted));
            Reply::ok(found.map(|login| user(&request.base, Some(login))).collect())
        }
        ("GET", ["personal_access_tokens", "self"], Some(_)) => match forge.scopes.as_deref() {
            Some("") => Reply::error(404, "404 Not Found"),
            scopes => Reply::ok(json!({
                "id": 1, "name": "kugetsu", "revoked": false, "active": true,
                "scopes": scopes.unwrap_or("api, write_repository").split(", ").collect::<Vec<_>>(),
            })),
        },
        (method, ["projects", path, rest @ ..], login) => {
            if let Some(new) = forge.moved.get(*path).and_then(|new| forge.projects.get(new)) {
                if method != "GET" {
                    return Reply::error(405, "Non GET methods are not allowed for moved projects");
                }
                let encoded = path.replace('/', "%2F");
                let target = request.target.replacen(&encoded, &new.id.to_string(), 1);
                return Reply::new(301, json!(null)).header("location", format!("{}{target}", request.base));
            }
            let by_id = forge.projects.iter().find(|(_, project)| project.id.to_string() == **path);
            let path = by_id.map_or(*path, |(path, _)| path.as_str()).to_owned();
            let Some((path, project)) = forge.visible(&path, login) else {
                return Reply::error(404, "404 Project Not Found");
            };
            if method == "GET" {
                return Reading { forge, request, path, project }.answer(rest);
            }
            let path = path.to_owned();
            changes::answer(forge, request, &path, rest)
        }
        _ => no_route(),
    }
}
