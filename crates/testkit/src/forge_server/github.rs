//! How GitHub answers. See <https://docs.github.com/en/rest>.

use serde_json::{Map, Value, json};

use super::access;
use super::flavor::Flavor;
use super::github_shape::{label, me, object, repository, user};
use super::issue::Issue;
use super::list::{Length, Page};
use super::pull_request::{BranchHome, PrState, PullRequest};
use super::question::Question;
use super::reply::Reply;
use super::world::{LONG_AGO, Project, World, id_of};

/// Answers a question of the API.
pub(super) fn answer(world: &World, question: &Question) -> Reply {
    let parts: Vec<&str> = question.parts.iter().map(String::as_str).collect();
    let reply = match parts.as_slice() {
        ["meta"] => Reply::ok(json!({
            "verifiable_password_authentication": false,
            "installed_version": world.version,
        })),
        ["user"] => match question.login.as_deref() {
            Some(login) => Reply::ok(me(&question.base, &api(question), login)),
            None => access::needed(Flavor::GitHub),
        },
        ["repos", owner, name, rest @ ..] => {
            let path = format!("{owner}/{name}");
            match world.visible(&path, question.login.as_deref()) {
                Some((path, project)) => Repo { question, path, project }.answer(world, rest),
                None => missing(),
            }
        }
        _ => missing(),
    };
    reply
        .header("x-github-request-id", "C0DE:1:2:3")
        .header("x-github-enterprise-version", world.version.clone())
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

fn api(question: &Question) -> String {
    format!("{}{}", question.base, Flavor::GitHub.prefix())
}

struct Repo<'a> {
    question: &'a Question,
    path: &'a str,
    project: &'a Project,
}

impl Repo<'_> {
    fn answer(&self, world: &World, rest: &[&str]) -> Reply {
        match rest {
            [] => Reply::ok(self.repository()),
            ["issues", number] => match number.parse() {
                Ok(number) => self.issue_or_pull(number),
                Err(_) => missing(),
            },
            ["pulls", number] => {
                let number = number.parse().ok();
                match number.and_then(|number| Some((number, self.project.pull_requests.get(&number)?))) {
                    Some((number, pull)) => Reply::ok(self.whole(number, pull)),
                    None => missing(),
                }
            }
            ["pulls"] => self.pulls(world),
            _ => missing(),
        }
    }

    fn pulls(&self, world: &World) -> Reply {
        let question = self.question;
        let state = question.get("state").unwrap_or("open");
        let fits = |pull: &PullRequest| {
            let head = question.get("head").is_none_or(|head| head == format!("{}:{}", self.owner_of(pull), pull.head));
            let base = question.get("base").is_none_or(|base| base == pull.base);
            let state = match state {
                "all" => true,
                "closed" => !pull.is_open(),
                _ => pull.is_open(),
            };
            head && base && state
        };
        let found = self.project.pull_requests.iter().rev().filter(|(_, pull)| fits(pull));
        let all = found.map(|(number, pull)| Value::Object(self.pull(*number, pull))).collect();
        let page = Page::of(all, question, world, Length { name: "per_page", default: 30 });
        match page.links(question) {
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
        repository(&self.question.base, &api(self.question), self.path, self.project.id, self.project.members.is_some())
    }

    fn user(&self, login: Option<&str>) -> Value {
        login.map_or(Value::Null, |login| user(&self.question.base, &api(self.question), login))
    }

    fn issue_or_pull(&self, number: u64) -> Reply {
        if let Some(issue) = self.project.issues.get(&number) {
            let page = format!("{}/{}/issues/{number}", self.question.base, self.path);
            return Reply::ok(Value::Object(self.issue(number, issue, issue.closed, &page)));
        }
        let Some(pull) = self.project.pull_requests.get(&number) else { return missing() };
        let page = format!("{}/{}/pull/{number}", self.question.base, self.path);
        let mut fields = self.issue(number, &pull.issue, !pull.is_open(), &page);
        fields.insert("draft".to_owned(), (pull.state == PrState::Draft).into());
        let merged = (pull.state == PrState::Merged).then_some(LONG_AGO);
        let links = json!({
            "url": format!("{}/repos/{}/pulls/{number}", api(self.question), self.path),
            "html_url": page, "diff_url": format!("{page}.diff"), "patch_url": format!("{page}.patch"), "merged_at": merged,
        });
        fields.insert("pull_request".to_owned(), links);
        Reply::ok(Value::Object(fields))
    }

    /// What issues and pull requests have in common, as an issue.
    fn issue(&self, number: u64, issue: &Issue, closed: bool, page: &str) -> Map<String, Value> {
        let repo = format!("{}/repos/{}", api(self.question), self.path);
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

    /// A pull request as lists have it.
    fn pull(&self, number: u64, pull: &PullRequest) -> Map<String, Value> {
        let repo = format!("{}/repos/{}", api(self.question), self.path);
        let (url, issue_url) = (format!("{repo}/pulls/{number}"), format!("{repo}/issues/{number}"));
        let page = format!("{}/{}/pull/{number}", self.question.base, self.path);
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
        let (web, api) = (&self.question.base, api(self.question));
        let repo = match &pull.home {
            BranchHome::Project => self.repository(),
            BranchHome::ForkOf(owner) => repository(web, &api, &format!("{owner}/{name}"), id_of(owner), false),
            BranchHome::ForkGone => Value::Null,
        };
        let user = if pull.home == BranchHome::ForkGone { Value::Null } else { self.user(Some(owner)) };
        json!({ "label": format!("{owner}:{}", pull.head), "ref": pull.head, "sha": pull.sha, "user": user, "repo": repo })
    }

    /// A pull request by itself: only here GitHub looks whether it can be merged.
    fn whole(&self, number: u64, pull: &PullRequest) -> Value {
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
