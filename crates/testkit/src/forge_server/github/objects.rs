//! Objects of GitHub's API with all fields that its schema requires, most of which are addresses.

use serde_json::{Map, Value, json};

use crate::forge_server::api_request::ApiRequest;
use crate::forge_server::flavor::Flavor;
use crate::forge_server::permission::{Permission, Settings};
use crate::forge_server::reply::Reply;
use crate::forge_server::state::{LONG_AGO, id_of, time};

/// Addresses of a user below its API address.
const OF_USER: &[(&str, &str)] = &[
    ("url", ""),
    ("followers_url", "/followers"),
    ("following_url", "/following{/other_user}"),
    ("gists_url", "/gists{/gist_id}"),
    ("starred_url", "/starred{/owner}{/repo}"),
    ("subscriptions_url", "/subscriptions"),
    ("organizations_url", "/orgs"),
    ("repos_url", "/repos"),
    ("events_url", "/events{/privacy}"),
    ("received_events_url", "/received_events"),
];

/// Addresses of a repository below its API address.
const OF_REPOSITORY: &[(&str, &str)] = &[
    ("url", ""),
    ("archive_url", "/{archive_format}{/ref}"),
    ("assignees_url", "/assignees{/user}"),
    ("blobs_url", "/git/blobs{/sha}"),
    ("branches_url", "/branches{/branch}"),
    ("collaborators_url", "/collaborators{/collaborator}"),
    ("comments_url", "/comments{/number}"),
    ("commits_url", "/commits{/sha}"),
    ("compare_url", "/compare/{base}...{head}"),
    ("contents_url", "/contents/{+path}"),
    ("contributors_url", "/contributors"),
    ("deployments_url", "/deployments"),
    ("downloads_url", "/downloads"),
    ("events_url", "/events"),
    ("forks_url", "/forks"),
    ("git_commits_url", "/git/commits{/sha}"),
    ("git_refs_url", "/git/refs{/sha}"),
    ("git_tags_url", "/git/tags{/sha}"),
    ("hooks_url", "/hooks"),
    ("issue_comment_url", "/issues/comments{/number}"),
    ("issue_events_url", "/issues/events{/number}"),
    ("issues_url", "/issues{/number}"),
    ("keys_url", "/keys{/key_id}"),
    ("labels_url", "/labels{/name}"),
    ("languages_url", "/languages"),
    ("merges_url", "/merges"),
    ("milestones_url", "/milestones{/number}"),
    ("notifications_url", "/notifications{?since,all,participating}"),
    ("pulls_url", "/pulls{/number}"),
    ("releases_url", "/releases{/id}"),
    ("stargazers_url", "/stargazers"),
    ("statuses_url", "/statuses/{sha}"),
    ("subscribers_url", "/subscribers"),
    ("subscription_url", "/subscription"),
    ("tags_url", "/tags"),
    ("teams_url", "/teams"),
    ("trees_url", "/git/trees{/sha}"),
];

/// The public view of a user.
pub(super) fn user(web: &str, api: &str, login: &str) -> Value {
    let mut fields = addresses(OF_USER, &format!("{api}/users/{login}"));
    fields.extend(object(json!({
        "login": login,
        "id": id_of(login),
        "node_id": format!("U_{login}"),
        "avatar_url": format!("{web}/avatars/u/{}", id_of(login)),
        "gravatar_id": "",
        "html_url": format!("{web}/{login}"),
        "type": if login.ends_with("[bot]") { "Bot" } else { "User" },
        "user_view_type": "public",
        "site_admin": false,
    })));
    Value::Object(fields)
}

/// The authenticated user.
pub(super) fn me(web: &str, api: &str, login: &str) -> Value {
    let mut fields = object(user(web, api, login));
    fields.extend(object(json!({
        "user_view_type": "private",
        "name": login, "company": null, "blog": "", "location": null, "email": null, "hireable": null, "bio": null,
        "public_repos": 0, "public_gists": 0, "followers": 0, "following": 0,
        "private_gists": 0, "total_private_repos": 0, "owned_private_repos": 0, "disk_usage": 0, "collaborators": 0,
        "two_factor_authentication": true,
        "created_at": LONG_AGO, "updated_at": LONG_AGO,
    })));
    Value::Object(fields)
}

pub(super) fn repository(web: &str, api: &str, path: &str, id: u64, private: bool, settings: &Settings) -> Value {
    let (owner, name) = path.split_once('/').unwrap_or((path, path));
    let page = format!("{web}/{path}");
    let mut fields = addresses(OF_REPOSITORY, &format!("{api}/repos/{path}"));
    fields.extend(object(json!({
        "id": id,
        "node_id": format!("R_{id}"),
        "name": name,
        "full_name": path,
        "owner": user(web, api, owner),
        "private": private,
        "visibility": if private { "private" } else { "public" },
        "html_url": page,
        "clone_url": format!("{page}.git"),
        "git_url": format!("git:{}.git", page.trim_start_matches("http:")),
        "ssh_url": format!("git@127.0.0.1:{path}.git"),
        "svn_url": page,
        "mirror_url": null, "homepage": null, "description": null, "language": null, "license": null,
        "default_branch": settings.default_branch,
        "fork": false, "archived": settings.archived, "disabled": false,
        "has_issues": true, "has_projects": true, "has_wiki": true, "has_pages": false, "has_downloads": true,
        "size": 0, "forks": 0, "forks_count": 0, "stargazers_count": 0, "watchers": 0, "watchers_count": 0,
        "open_issues": 0, "open_issues_count": 0,
        "pushed_at": LONG_AGO, "created_at": LONG_AGO, "updated_at": LONG_AGO,
    })));
    Value::Object(fields)
}

/// The repository as its own address shows it.
pub(super) fn full_repository(repository: Value, settings: &Settings, permission: Option<Permission>) -> Value {
    let mut fields = object(repository);
    fields.extend(object(json!({
        "has_discussions": false, "network_count": 0, "subscribers_count": 0,
        "allow_merge_commit": settings.allows_merge, "allow_squash_merge": settings.allows_squash,
        "allow_rebase_merge": settings.allows_rebase, "allow_auto_merge": true, "delete_branch_on_merge": false,
    })));
    if let Some(permission) = permission {
        fields.insert("permissions".to_owned(), permissions(permission));
    }
    Value::Object(fields)
}

pub(super) fn permissions(permission: Permission) -> Value {
    json!({
        "admin": permission >= Permission::Admin, "maintain": permission >= Permission::Maintain,
        "push": permission >= Permission::Write, "triage": permission >= Permission::Triage,
        "pull": permission >= Permission::Read,
    })
}

pub(super) fn label(repo: &str, name: &str) -> Value {
    json!({
        "id": id_of(name), "node_id": format!("LA_{name}"), "url": format!("{repo}/labels/{}", name.replace(' ', "%20")),
        "name": name, "description": null, "color": "d73a4a", "default": false,
    })
}

pub(super) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn addresses(list: &[(&str, &str)], base: &str) -> Map<String, Value> {
    list.iter().map(|(name, tail)| ((*name).to_owned(), format!("{base}{tail}").into())).collect()
}

/// Start of the addresses of the API.
pub(super) fn api(request: &ApiRequest) -> String {
    format!("{}{}", request.base, Flavor::GitHub.prefix())
}

pub(super) fn missing() -> Reply {
    Reply::new(
        404,
        json!({ "message": "Not Found", "documentation_url": "https://docs.github.com/rest", "status": "404" }),
    )
}

pub(super) fn invalid(errors: Value) -> Reply {
    Reply::new(
        422,
        json!({ "message": "Validation Failed", "errors": errors, "documentation_url": "https://docs.github.com/rest" }),
    )
}

/// A reaction of the request's user.
pub(super) fn reaction(request: &ApiRequest, id: u64, name: &str, now: i64) -> Value {
    let login = request.actor();
    json!({
        "id": id_of(login) + id, "node_id": format!("REA_{id}"), "user": user(&request.base, &api(request), login),
        "content": name, "created_at": time(now),
    })
}
