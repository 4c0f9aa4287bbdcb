//! The API of Gitea and Forgejo; each server documents it at `/api/swagger`.

use serde_json::{Value, json};

use super::access;
use super::api_request::ApiRequest;
use super::flavor::Flavor;
use super::issue::Issue;
use super::list::{Length, Page};
use super::pull_request::{BranchHome, PrState, PullRequest};
use super::reply::Reply;
use super::state::{ForgeState, LONG_AGO, Project, id_of};

pub(super) fn answer(flavor: Flavor, forge: &ForgeState, request: &ApiRequest) -> Reply {
    if forge.sign_in && request.login.is_none() {
        return Reply::error(403, "Only signed in user is allowed to call APIs.");
    }
    let parts: Vec<&str> = request.parts.iter().map(String::as_str).collect();
    match parts.as_slice() {
        ["version"] => Reply::ok(json!({ "version": forge.version })),
        ["user"] => match request.login.as_deref() {
            Some(login) => Reply::ok(user(&request.base, login)),
            None => access::token_required(flavor),
        },
        ["repos", owner, name, rest @ ..] => {
            let path = format!("{owner}/{name}");
            match forge.visible(&path, request.login.as_deref()) {
                Some((path, project)) => Repo { flavor, request, path, project }.answer(forge, rest),
                None => missing(request),
            }
        }
        _ => missing(request),
    }
}

/// The API below `/api/forgejo`.
pub(super) fn forgejo(forge: &ForgeState, signed_in: bool, parts: &[String]) -> Reply {
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

fn missing(request: &ApiRequest) -> Reply {
    let url = format!("{}/api/swagger", request.base);
    let body = json!({ "errors": null, "message": "The target couldn't be found.", "url": url });
    Reply { status: 404, headers: Vec::new(), body }
}

fn user(base: &str, login: &str) -> Value {
    json!({
        "id": id_of(login), "login": login, "login_name": "", "full_name": "", "email": format!("{login}@noreply.example.org"),
        "avatar_url": format!("{base}/avatars/{login}"), "html_url": format!("{base}/{login}"), "language": "",
        "is_admin": false, "last_login": "0001-01-01T00:00:00Z", "created": LONG_AGO, "restricted": false, "active": false,
        "prohibit_login": false, "location": "", "website": "", "description": "", "visibility": "public",
        "followers_count": 0, "following_count": 0, "starred_repos_count": 0, "username": login,
    })
}

fn label(request: &ApiRequest, path: &str, name: &str) -> Value {
    let url = format!("{}/api/v1/repos/{path}/labels/{}", request.base, id_of(name));
    let id = id_of(name);
    json!({ "id": id, "name": name, "exclusive": false, "is_archived": false, "color": "d73a4a", "description": "", "url": url })
}

struct Repo<'a> {
    flavor: Flavor,
    request: &'a ApiRequest,
    path: &'a str,
    project: &'a Project,
}

impl Repo<'_> {
    fn answer(&self, forge: &ForgeState, rest: &[&str]) -> Reply {
        match rest {
            [] => Reply::ok(self.repository(self.path, self.project.id)),
            ["issues", number] => self.lookup(number, |number| self.issue_or_pull(number)),
            ["pulls", number] => {
                self.lookup(number, |number| Some(self.pull(number, self.project.pull_requests.get(&number)?)))
            }
            ["pulls"] => self.pulls(forge),
            _ => missing(self.request),
        }
    }

    fn lookup(&self, number: &str, find: impl FnOnce(u64) -> Option<Value>) -> Reply {
        number.parse().ok().and_then(find).map_or_else(|| missing(self.request), Reply::ok)
    }

    fn pulls(&self, forge: &ForgeState) -> Reply {
        let state = self.request.get("state").unwrap_or("open");
        // Gitea ignores this parameter and returns all pull requests.
        let head = self.request.get("head").filter(|_| self.flavor == Flavor::Forgejo);
        let matches = |pull: &PullRequest| {
            let state = match state {
                "all" => true,
                "closed" => !pull.is_open(),
                _ => pull.is_open(),
            };
            state && head.is_none_or(|head| head == pull.head)
        };
        let matching = self.project.pull_requests.iter().rev().filter(|(_, pull)| matches(pull));
        let all = matching.map(|(number, pull)| self.pull(*number, pull)).collect();
        let page = Page::of(all, self.request, forge, Length { name: "limit", default: 30 });
        let (links, total) = (page.links(self.request), page.total.to_string());
        let reply = page.reply().header("x-total-count", total);
        match links {
            Some(links) => reply.header("link", links),
            None => reply,
        }
    }

    fn repository(&self, path: &str, id: u64) -> Value {
        let (owner, name) = path.split_once('/').unwrap_or((path, path));
        let page = format!("{}/{path}", self.request.base);
        json!({
            "id": id, "owner": user(&self.request.base, owner), "name": name, "full_name": path, "description": "",
            "empty": false, "private": self.project.members.is_some(), "fork": id != self.project.id, "template": false,
            "mirror": false, "size": 22, "html_url": page, "ssh_url": format!("git@127.0.0.1:{path}.git"),
            "clone_url": format!("{page}.git"), "default_branch": "main", "archived": false, "has_issues": true,
            "has_pull_requests": true, "created_at": LONG_AGO, "updated_at": LONG_AGO,
        })
    }

    fn issue_or_pull(&self, number: u64) -> Option<Value> {
        if let Some(issue) = self.project.issues.get(&number) {
            return Some(self.issue(number, issue, issue.closed, "issues"));
        }
        let pull = self.project.pull_requests.get(&number)?;
        let mut issue = self.issue(number, &pull.issue, !pull.is_open(), "pulls");
        let merged = pull.state == PrState::Merged;
        let merged_at = if merged { Some(LONG_AGO) } else { None };
        issue["pull_request"] = json!({ "draft": pull.state == PrState::Draft, "merged": merged, "merged_at": merged_at, "html_url": issue["html_url"] });
        Some(issue)
    }

    /// The fields that issues and pull requests share.
    fn issue(&self, number: u64, issue: &Issue, closed: bool, page: &str) -> Value {
        let (owner, name) = self.path.split_once('/').unwrap_or((self.path, self.path));
        json!({
            "id": self.project.id * 1000 + number,
            "url": format!("{}/api/v1/repos/{}/issues/{number}", self.request.base, self.path),
            "html_url": format!("{}/{}/{page}/{number}", self.request.base, self.path),
            "number": number,
            // The user whom Gitea shows for a deleted account.
            "user": user(&self.request.base, issue.author.as_deref().unwrap_or("Ghost")),
            "original_author": "", "original_author_id": 0,
            "title": issue.title,
            "body": issue.body.as_deref().unwrap_or_default(),
            "ref": "", "assets": [],
            "labels": issue.labels.iter().map(|name| label(self.request, self.path, name)).collect::<Vec<_>>(),
            "milestone": null, "assignee": null, "assignees": null,
            "state": if closed { "closed" } else { "open" },
            "is_locked": false, "comments": 0,
            "created_at": LONG_AGO, "updated_at": LONG_AGO,
            "closed_at": if closed { Some(LONG_AGO) } else { None },
            "due_date": null,
            "pull_request": null,
            "repository": { "id": self.project.id, "name": name, "owner": owner, "full_name": self.path },
            "pin_order": 0,
        })
    }

    fn pull(&self, number: u64, pull: &PullRequest) -> Value {
        let mut json = self.issue(number, &pull.issue, !pull.is_open(), "pulls");
        if let Some(fields) = json.as_object_mut() {
            for only_of_issues in ["pull_request", "repository", "ref", "original_author", "original_author_id"] {
                fields.remove(only_of_issues);
            }
        }
        let page = format!("{}/{}/pulls/{number}", self.request.base, self.path);
        let merged = pull.state == PrState::Merged;
        json["url"] = page.clone().into();
        json["diff_url"] = format!("{page}.diff").into();
        json["patch_url"] = format!("{page}.patch").into();
        json["draft"] = (pull.state == PrState::Draft).into();
        // `false` has four meanings: a draft, a conflict, a check in progress, or a closed pull request.
        json["mergeable"] = (pull.state == PrState::Open).into();
        json["merged"] = merged.into();
        json["merged_at"] = if merged { LONG_AGO.into() } else { Value::Null };
        json["merge_commit_sha"] = if merged { pull.sha.as_str().into() } else { Value::Null };
        json["merged_by"] = Value::Null;
        json["allow_maintainer_edit"] = false.into();
        json["merge_base"] = "c0ffee0000000000000000000000000000000000".into();
        if pull.state == PrState::Computing {
            json["updated_at"] = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into();
        }
        json["base"] = json!({
            "label": pull.base, "ref": pull.base, "sha": "c0ffee0000000000000000000000000000000000",
            "repo_id": self.project.id, "repo": self.repository(self.path, self.project.id),
        });
        json["head"] = self.head(number, pull);
        json
    }

    fn head(&self, number: u64, pull: &PullRequest) -> Value {
        let name = self.path.split('/').next_back().unwrap_or_default();
        let (label, id, repo) = match &pull.home {
            BranchHome::Project => (pull.head.clone(), self.project.id, self.repository(self.path, self.project.id)),
            BranchHome::ForkOf(owner) => {
                let repo = self.repository(&format!("{owner}/{name}"), id_of(owner));
                (pull.head.clone(), id_of(owner), repo)
            }
            BranchHome::ForkGone => (pull.head.clone(), 0, Value::Null),
        };
        let gone = pull.branch_gone || pull.home == BranchHome::ForkGone;
        let reference = if gone { format!("refs/pull/{number}/head") } else { pull.head.clone() };
        json!({ "label": label, "ref": reference, "sha": pull.sha, "repo_id": id, "repo": repo })
    }
}
