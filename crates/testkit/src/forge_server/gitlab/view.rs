//! The API of GitLab; see <https://docs.gitlab.com/api/rest/>.

use serde_json::{Value, json};

use super::access;
use super::api_request::ApiRequest;
use super::flavor::Flavor;
use super::issue::Issue;
use super::list::{Length, Page};
use super::pull_request::{BranchHome, PrState, PullRequest};
use super::reply::Reply;
use super::state::{ForgeState, LONG_AGO, Project, id_of};

pub(super) fn answer(forge: &ForgeState, request: &ApiRequest) -> Reply {
    let parts: Vec<&str> = request.parts.iter().map(String::as_str).collect();
    let reply = match (parts.as_slice(), request.login.as_deref()) {
        (["version" | "user"], None) => access::token_required(Flavor::GitLab),
        (["version"], Some(_)) => Reply::ok(
            json!({ "version": forge.version, "revision": "570e7b2abdd", "kas": { "enabled": false }, "enterprise": true }),
        ),
        (["user"], Some(login)) => Reply::ok(user(&request.base, Some(login))),
        (["projects", path, rest @ ..], login) => match forge.visible(path, login) {
            Some((path, project)) => Repo { request, path, project }.answer(forge, rest),
            None => Reply::error(404, "404 Project Not Found"),
        },
        _ => Reply { status: 404, headers: Vec::new(), body: json!({ "error": "404 Not Found" }) },
    };
    reply
        .header("x-gitlab-meta", r#"{"correlation_id":"01ABC","version":"1"}"#)
        .header("x-request-id", "01ABC")
        .header("ratelimit-limit", "2000")
        .header("ratelimit-remaining", "1990")
}

fn user(base: &str, login: Option<&str>) -> Value {
    let login = login.unwrap_or("ghost1");
    json!({
        "id": id_of(login), "username": login, "name": login, "state": "active", "locked": false,
        "avatar_url": null, "web_url": format!("{base}/{login}"),
    })
}

struct Repo<'a> {
    request: &'a ApiRequest,
    path: &'a str,
    project: &'a Project,
}

impl Repo<'_> {
    fn answer(&self, forge: &ForgeState, rest: &[&str]) -> Reply {
        match rest {
            ["issues", number] => self
                .lookup(number, "404 Not found", |number| Some(self.issue(number, self.project.issues.get(&number)?))),
            ["merge_requests", number] => self.lookup(number, "404 Not found", |number| {
                Some(self.merge_request(number, self.project.pull_requests.get(&number)?))
            }),
            ["merge_requests"] => self.merge_requests(forge),
            _ => Reply { status: 404, headers: Vec::new(), body: json!({ "error": "404 Not Found" }) },
        }
    }

    fn lookup(&self, number: &str, missing: &str, find: impl FnOnce(u64) -> Option<Value>) -> Reply {
        number.parse().ok().and_then(find).map_or_else(|| Reply::error(404, missing), Reply::ok)
    }

    fn merge_requests(&self, forge: &ForgeState) -> Reply {
        let request = self.request;
        let fits = |pull: &PullRequest| {
            let branch = request.get("source_branch").is_none_or(|branch| branch == pull.head);
            let state = request.get("state").unwrap_or("all");
            branch && (state == "all" || state == state_name(pull))
        };
        let found = self.project.pull_requests.iter().rev().filter(|(_, pull)| fits(pull));
        let all = found.map(|(number, pull)| self.merge_request(*number, pull)).collect();
        let page = Page::of(all, request, forge, Length { name: "per_page", default: 20 });
        let next = page.next().map(|next| next.to_string()).unwrap_or_default();
        let (number, length, total, last) = (page.number, page.length, page.total, page.last());
        let links = page.links(request);
        let reply = page
            .reply()
            .header("x-next-page", next)
            .header("x-page", number.to_string())
            .header("x-per-page", length.to_string())
            .header("x-total", total.to_string())
            .header("x-total-pages", last.to_string());
        match links {
            Some(links) => reply.header("link", links),
            None => reply,
        }
    }

    fn issue(&self, number: u64, issue: &Issue) -> Value {
        let page = format!("{}/{}/-/issues/{number}", self.request.base, self.path);
        json!({
            "id": self.project.id * 1000 + number, "iid": number, "project_id": self.project.id,
            "title": issue.title, "description": issue.body,
            "state": if issue.closed { "closed" } else { "opened" },
            "created_at": LONG_AGO, "updated_at": LONG_AGO,
            "closed_at": if issue.closed { Some(LONG_AGO) } else { None }, "closed_by": null,
            "labels": issue.labels, "milestone": null, "assignees": [], "assignee": null,
            "author": user(&self.request.base, issue.author.as_deref()),
            "type": "ISSUE", "issue_type": "issue", "user_notes_count": 0, "merge_requests_count": 0,
            "upvotes": 0, "downvotes": 0, "due_date": null, "confidential": false, "discussion_locked": null,
            "web_url": page,
            "references": { "short": format!("#{number}"), "relative": format!("#{number}"), "full": format!("{}#{number}", self.path) },
        })
    }

    fn merge_request(&self, number: u64, pull: &PullRequest) -> Value {
        let issue = &pull.issue;
        let draft = pull.state == PrState::Draft;
        let title = if draft { format!("Draft: {}", issue.title) } else { issue.title.clone() };
        let at = |state: PrState| (pull.state == state).then_some(LONG_AGO);
        let short = format!("!{number}");
        let mut fields = json!({
            "id": self.project.id * 1000 + number, "iid": number, "project_id": self.project.id,
            "title": title, "description": issue.body, "state": state_name(pull),
            "created_at": LONG_AGO, "updated_at": LONG_AGO,
            "merged_at": at(PrState::Merged), "merged_by": null, "merge_user": null,
            "closed_at": at(PrState::Closed), "closed_by": null,
            "author": user(&self.request.base, issue.author.as_deref()),
            "assignees": [], "assignee": null, "reviewers": [], "labels": issue.labels, "milestone": null,
            "draft": draft, "work_in_progress": draft, "user_notes_count": 0, "upvotes": 0, "downvotes": 0,
            "web_url": format!("{}/{}/-/merge_requests/{number}", self.request.base, self.path),
            "references": { "short": short, "relative": short, "full": format!("{}{short}", self.path) },
        });
        if let (Value::Object(fields), Value::Object(merging)) = (&mut fields, self.merge_fields(pull)) {
            fields.extend(merging);
        }
        fields
    }

    /// The branches, and whether they can be merged.
    fn merge_fields(&self, pull: &PullRequest) -> Value {
        let (old, new) = match pull.state {
            PrState::Open => ("can_be_merged", "mergeable"),
            PrState::Draft => ("can_be_merged", "draft_status"),
            PrState::Conflict => ("cannot_be_merged", "conflict"),
            PrState::Computing => ("checking", "checking"),
            PrState::Merged | PrState::Closed => ("can_be_merged", "not_open"),
        };
        let source = match &pull.home {
            BranchHome::Project => Some(self.project.id),
            BranchHome::ForkOf(owner) => Some(id_of(owner)),
            BranchHome::ForkGone => None,
        };
        json!({
            "target_branch": pull.base, "source_branch": pull.head,
            "source_project_id": source, "target_project_id": self.project.id,
            "merge_when_pipeline_succeeds": false, "merge_status": old, "detailed_merge_status": new,
            "has_conflicts": pull.state == PrState::Conflict,
            "sha": pull.sha, "merge_commit_sha": null, "squash_commit_sha": null, "squash": false,
            "should_remove_source_branch": null, "force_remove_source_branch": false, "discussion_locked": null,
        })
    }
}

fn state_name(pull: &PullRequest) -> &'static str {
    match pull.state {
        PrState::Merged => "merged",
        PrState::Closed => "closed",
        PrState::Open | PrState::Draft | PrState::Conflict | PrState::Computing => "opened",
    }
}
