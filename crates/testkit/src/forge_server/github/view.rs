//! The API of GitHub; see <https://docs.github.com/en/rest>.

use serde_json::{Map, Value, json};

use super::access;
use super::api_request::ApiRequest;
use super::flavor::Flavor;
use super::github_shape::{label, me, object, repository, user};
use super::issue::Issue;
use super::list::{Length, Page};
use super::pull_request::{BranchHome, PrState, PullRequest};
use super::reply::Reply;
use super::state::{ForgeState, LONG_AGO, Project, id_of};

pub(super) fn answer(forge: &ForgeState, request: &ApiRequest) -> Reply {
    let parts: Vec<&str> = request.parts.iter().map(String::as_str).collect();
    let reply = match parts.as_slice() {
        ["meta"] => Reply::ok(json!({
            "verifiable_password_authentication": false,
            "installed_version": forge.version,
        })),
        ["user"] => match request.login.as_deref() {
            Some(login) => Reply::ok(me(&request.base, &api(request), login)),
            None => access::token_required(Flavor::GitHub),
        },
        ["repos", owner, name, rest @ ..] => {
            let path = format!("{owner}/{name}");
            match forge.visible(&path, request.login.as_deref()) {
                Some((path, project)) => Repo { request, path, project }.answer(forge, rest),
                None => missing(),
            }
        }
        _ => missing(),
    };
    reply
        .header("x-github-request-id", "C0DE:1:2:3")
        .header("x-github-enterprise-version", forge.version.clone())
        .header("x-ratelimit-limit", "5000")
        .header("x-ratelimit-remaining", "4990")
        .header("x-ratelimit-resource", "core")
}

fn missing() -> Reply {
    Reply {
        status: 404,
        headers: Vec::new(),
        body: json!({
            "message": "Not Found", "documentation_url": "https://docs.github.com/rest", "status": "404",
        }),
    }
}

fn api(request: &ApiRequest) -> String {
    format!("{}{}", request.base, Flavor::GitHub.prefix())
}

struct Repo<'a> {
    request: &'a ApiRequest,
    path: &'a str,
    project: &'a Project,
}

impl Repo<'_> {
    fn answer(&self, forge: &ForgeState, rest: &[&str]) -> Reply {
        match rest {
            [] => Reply::ok(self.repository()),
            ["issues", number] => match number.parse() {
                Ok(number) => self.issue_or_pull(number),
                Err(_) => missing(),
            },
            ["pulls", number] => {
                let number = number.parse().ok();
                match number.and_then(|number| Some((number, self.project.pull_requests.get(&number)?))) {
                    Some((number, pull)) => Reply::ok(self.full_pull(number, pull)),
                    None => missing(),
                }
            }
            ["pulls"] => self.pulls(forge),
            _ => missing(),
        }
    }

    fn pulls(&self, forge: &ForgeState) -> Reply {
        let request = self.request;
        let state = request.get("state").unwrap_or("open");
        let fits = |pull: &PullRequest| {
            let head = request.get("head").is_none_or(|head| head == format!("{}:{}", self.owner_of(pull), pull.head));
            let base = request.get("base").is_none_or(|base| base == pull.base);
            let state = match state {
                "all" => true,
                "closed" => !pull.is_open(),
                _ => pull.is_open(),
            };
            head && base && state
        };
        let found = self.project.pull_requests.iter().rev().filter(|(_, pull)| fits(pull));
        let all = found.map(|(number, pull)| Value::Object(self.pull(*number, pull))).collect();
        let page = Page::of(all, request, forge, Length { name: "per_page", default: 30 });
        match page.links(request) {
            Some(links) => page.reply().header("link", links),
            None => page.reply(),
        }
    }

    fn owner_of<'a>(&'a self, pull: &'a PullRequest) -> &'a str {
        match &pull.home {
            BranchHome::Project => self.path.split('/').next().unwrap_or_default(),
            BranchHome::ForkOf(owner) => owner,
            BranchHome::ForkGone => "unknown",
        }
    }

    fn repository(&self) -> Value {
        repository(&self.request.base, &api(self.request), self.path, self.project.id, self.project.members.is_some())
    }

    fn user(&self, login: Option<&str>) -> Value {
        login.map_or(Value::Null, |login| user(&self.request.base, &api(self.request), login))
    }

    fn issue_or_pull(&self, number: u64) -> Reply {
        if let Some(issue) = self.project.issues.get(&number) {
            let page = format!("{}/{}/issues/{number}", self.request.base, self.path);
            return Reply::ok(Value::Object(self.issue(number, issue, issue.closed, &page)));
        }
        let Some(pull) = self.project.pull_requests.get(&number) else { return missing() };
        let page = format!("{}/{}/pull/{number}", self.request.base, self.path);
        let mut fields = self.issue(number, &pull.issue, !pull.is_open(), &page);
        fields.insert("draft".to_owned(), (pull.state == PrState::Draft).into());
        let merged = (pull.state == PrState::Merged).then_some(LONG_AGO);
        let links = json!({
            "url": format!("{}/repos/{}/pulls/{number}", api(self.request), self.path),
            "html_url": page, "diff_url": format!("{page}.diff"), "patch_url": format!("{page}.patch"), "merged_at": merged,
        });
        fields.insert("pull_request".to_owned(), links);
        Reply::ok(Value::Object(fields))
    }

    /// The fields that issues and pull requests share.
    fn issue(&self, number: u64, issue: &Issue, closed: bool, page: &str) -> Map<String, Value> {
        let repo = format!("{}/repos/{}", api(self.request), self.path);
        let url = format!("{repo}/issues/{number}");
        object(json!({
            "id": self.project.id * 1000 + number,
            "node_id": format!("I_{}_{number}", self.project.id),
            "number": number,
            "title": issue.title,
            "body": issue.body,
            "state": if closed { "closed" } else { "open" },
            "state_reason": if closed { Some("completed") } else { None },
            "user": self.user(issue.author.as_deref()),
            "labels": issue.labels.iter().map(|name| label(&repo, name)).collect::<Vec<_>>(),
            "assignee": null, "assignees": [], "milestone": null,
            "locked": false, "active_lock_reason": null, "comments": 0,
            "author_association": "MEMBER",
            "html_url": page, "url": url, "repository_url": repo,
            "comments_url": format!("{url}/comments"),
            "events_url": format!("{url}/events"),
            "labels_url": format!("{url}/labels{{/name}}"),
            "created_at": LONG_AGO, "updated_at": LONG_AGO,
            "closed_at": if closed { Some(LONG_AGO) } else { None },
            "closed_by": null,
        }))
    }

    /// A pull request in a list.
    fn pull(&self, number: u64, pull: &PullRequest) -> Map<String, Value> {
        let repo = format!("{}/repos/{}", api(self.request), self.path);
        let (url, issue_url) = (format!("{repo}/pulls/{number}"), format!("{repo}/issues/{number}"));
        let page = format!("{}/{}/pull/{number}", self.request.base, self.path);
        let statuses = format!("{repo}/statuses/{}", pull.sha);
        let merged = pull.state == PrState::Merged;
        let mut fields = self.issue(number, &pull.issue, !pull.is_open(), &page);
        for only_of_issues in ["repository_url", "events_url", "labels_url", "state_reason", "closed_by"] {
            fields.remove(only_of_issues);
        }
        let links: Map<String, Value> = [
            ("self", url.clone()),
            ("html", page.clone()),
            ("issue", issue_url.clone()),
            ("comments", format!("{issue_url}/comments")),
            ("review_comments", format!("{url}/comments")),
            ("review_comment", format!("{repo}/pulls/comments{{/number}}")),
            ("commits", format!("{url}/commits")),
            ("statuses", statuses.clone()),
        ]
        .into_iter()
        .map(|(name, href)| (name.to_owned(), json!({ "href": href })))
        .collect();
        fields.extend(object(json!({
            "url": url,
            "issue_url": issue_url,
            "diff_url": format!("{page}.diff"),
            "patch_url": format!("{page}.patch"),
            "commits_url": format!("{url}/commits"),
            "comments_url": format!("{issue_url}/comments"),
            "review_comments_url": format!("{url}/comments"),
            "review_comment_url": format!("{repo}/pulls/comments{{/number}}"),
            "statuses_url": statuses,
            "_links": links,
            "draft": pull.state == PrState::Draft,
            "merged_at": if merged { Some(LONG_AGO) } else { None },
            "merge_commit_sha": if merged { Some(&pull.sha) } else { None },
            "auto_merge": null,
            "requested_reviewers": [], "requested_teams": [],
            "head": self.head(pull),
            "base": {
                "label": format!("{}:{}", self.path.split('/').next().unwrap_or_default(), pull.base),
                "ref": pull.base,
                "sha": "c0ffee0000000000000000000000000000000000",
                "user": self.user(self.path.split('/').next()),
                "repo": self.repository(),
            },
        })));
        fields
    }

    fn head(&self, pull: &PullRequest) -> Value {
        let owner = self.owner_of(pull);
        let name = self.path.split('/').next_back().unwrap_or_default();
        let (web, api) = (&self.request.base, api(self.request));
        let repo = match &pull.home {
            BranchHome::Project => self.repository(),
            BranchHome::ForkOf(owner) => repository(web, &api, &format!("{owner}/{name}"), id_of(owner), false),
            BranchHome::ForkGone => Value::Null,
        };
        let user = if pull.home == BranchHome::ForkGone { Value::Null } else { self.user(Some(owner)) };
        json!({ "label": format!("{owner}:{}", pull.head), "ref": pull.head, "sha": pull.sha, "user": user, "repo": repo })
    }

    /// A single pull request. Only here does GitHub report whether it can be merged.
    fn full_pull(&self, number: u64, pull: &PullRequest) -> Value {
        let (mergeable, state) = match pull.state {
            PrState::Open => (Some(true), "clean"),
            PrState::Draft => (Some(true), "draft"),
            PrState::Conflict => (Some(false), "dirty"),
            PrState::Computing | PrState::Merged | PrState::Closed => (None, "unknown"),
        };
        let merged = pull.state == PrState::Merged;
        let mut fields = self.pull(number, pull);
        fields.extend(object(json!({
            "mergeable": mergeable,
            "mergeable_state": state,
            "rebaseable": mergeable,
            "merged": merged,
            "merged_by": if merged { self.user(pull.issue.author.as_deref()) } else { Value::Null },
            "maintainer_can_modify": false,
            "comments": 0, "review_comments": 0, "commits": 1, "additions": 1, "deletions": 0, "changed_files": 1,
        })));
        Value::Object(fields)
    }
}
