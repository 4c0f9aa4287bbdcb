//! Requests that read something of a project.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::view::{View, missing, no_route, state_name, user};
use crate::forge_server::api_request::ApiRequest;
use crate::forge_server::check::Check;
use crate::forge_server::comment::Verdict;
use crate::forge_server::issue::{Issue, Subject};
use crate::forge_server::list::{Length, Page};
use crate::forge_server::permission::Permission;
use crate::forge_server::pull_request::PullRequest;
use crate::forge_server::reply::Reply;
use crate::forge_server::state::{ForgeState, Project, id_of, time};

/// A request for a project that its user can see.
pub(super) struct Reading<'a> {
    pub(super) forge: &'a ForgeState,
    pub(super) request: &'a ApiRequest,
    pub(super) path: &'a str,
    pub(super) project: &'a Project,
}

impl Reading<'_> {
    fn view(&self) -> View<'_> {
        View { base: &self.request.base, path: self.path, project: self.project }
    }

    pub(super) fn answer(&self, rest: &[&str]) -> Reply {
        let view = self.view();
        match rest {
            [] => self.repository(),
            ["repository", "files", name] => match self.project.files.get(*name) {
                Some(text) => Reply::ok(json!({
                    "file_name": name, "file_path": name, "size": text.len(), "encoding": "base64",
                    "content": STANDARD.encode(text), "ref": "HEAD",
                })),
                None => missing(),
            },
            ["issues"] => self.issues(),
            ["issues", number, rest @ ..] => {
                let issue = number.parse().ok().and_then(|number| Some((number, self.project.issues.get(&number)?)));
                let Some((number, issue)) = issue else { return missing() };
                match rest {
                    [] => Reply::ok(view.issue(number, issue)),
                    ["notes"] => self.notes(Subject::Issue(number)),
                    ["resource_label_events"] => {
                        let events = issue.marks.iter().filter_map(|change| view.label_event(number, change));
                        self.list(events.collect())
                    }
                    ["links"] => {
                        let blocking = issue.blocked_by.iter().filter_map(|number| {
                            let mut json = view.issue(*number, self.project.issues.get(number)?);
                            json["link_type"] = "is_blocked_by".into();
                            json["issue_link_id"] = (*number).into();
                            Some(json)
                        });
                        Reply::ok(blocking.collect())
                    }
                    _ => no_route(),
                }
            }
            ["merge_requests"] => self.merge_requests(),
            ["merge_requests", number, rest @ ..] => {
                let pull =
                    number.parse().ok().and_then(|number| Some((number, self.project.pull_requests.get(&number)?)));
                match pull {
                    Some((number, pull)) => self.merge_request(number, pull, rest),
                    None => missing(),
                }
            }
            ["labels"] => {
                let label = |name: &String| json!({ "id": id_of(name), "name": name, "color": "#d73a4a" });
                self.list(self.project.label_names().iter().map(label).collect())
            }
            ["members", "all", id] => self.member(id),
            ["pipelines"] => {
                let commits = self.project.checks.keys();
                let wanted = commits.filter(|commit| self.request.get("sha").is_none_or(|sha| sha == *commit));
                self.list(wanted.filter_map(|commit| view.pipeline(commit)).collect())
            }
            ["repository", "branches", name] => match self.project.branch(name) {
                Some(commit) => Reply::ok(json!({ "name": name, "commit": { "id": commit }, "merged": false })),
                None => Reply::error(404, "404 Branch Not Found"),
            },
            ["repository", "commits", commit] => {
                let merges = self.project.pull_requests.values().filter_map(|pull| pull.merged_result.as_ref());
                match merges.into_iter().find(|(merge, _)| merge == commit) {
                    Some((_, head)) => Reply::ok(json!({ "id": commit, "parent_ids": ["0".repeat(40), head] })),
                    None => missing(),
                }
            }
            ["repository", "commits", commit, "statuses"] => {
                let checks = self.project.checks.get(*commit).into_iter().flatten();
                self.list(checks.map(|check| view.status(commit, check)).collect())
            }
            ["jobs", id, "trace"] => {
                let is_job = |check: &&Check| check.id.to_string() == *id;
                let job = self.project.checks.values().flatten().find(is_job).and_then(|check| check.log.as_deref());
                job.map_or_else(missing, Reply::text)
            }
            ["hooks"] if self.forge.permission(self.path, self.request.actor()) < Permission::Maintain => {
                Reply::error(403, "403 Forbidden")
            }
            ["hooks"] => self.list(self.project.hooks.iter().map(|hook| view.hook(hook)).collect()),
            _ => no_route(),
        }
    }

    fn list(&self, all: Vec<Value>) -> Reply {
        let page = Page::of(all, self.request, self.forge, Length { name: "per_page", default: 20 });
        let next = page.next().map(|next| next.to_string()).unwrap_or_default();
        let (number, length, total, last) = (page.number, page.length, page.total, page.last());
        let links = page.links(self.request);
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

    fn repository(&self) -> Reply {
        let settings = &self.project.settings;
        let squash = match (settings.allows_merge, settings.allows_squash) {
            (false, _) => "always",
            (true, false) => "never",
            (true, true) => "default_off",
        };
        let mut json = json!({
            "id": self.project.id, "name": self.path.rsplit('/').next(), "path_with_namespace": self.path,
            "default_branch": settings.default_branch, "archived": settings.archived, "squash_option": squash,
            "merge_method": "merge", "merge_pipelines_enabled": settings.has_merge_queue,
            "merge_trains_enabled": settings.has_merge_queue, "visibility": if self.project.members.is_some() { "private" } else { "public" },
            "web_url": format!("{}/{}", self.request.base, self.path),
        });
        if let Some(login) = self.request.login.as_deref() {
            let level = self.forge.permission(self.path, login).level();
            let access = (level > 0).then(|| json!({ "access_level": level, "notification_level": 3 }));
            json["permissions"] = json!({ "project_access": access, "group_access": null });
        }
        Reply::ok(json)
    }

    fn issues(&self) -> Reply {
        let (request, view) = (self.request, self.view());
        let since = request.get("updated_after").and_then(|since| since.parse::<jiff::Timestamp>().ok());
        let labels: Vec<&str> = request.get("labels").into_iter().flat_map(|names| names.split(',')).collect();
        let fits = |issue: &Issue| {
            let state = match request.get("state") {
                Some("opened") => !issue.closed,
                Some("closed") => issue.closed,
                _ => true,
            };
            let has_labels = labels.iter().all(|label| issue.labels.iter().any(|name| name == label));
            state && has_labels && since.is_none_or(|since| issue.updated >= since.as_second())
        };
        let mut found: Vec<_> = self.project.issues.iter().filter(|(_, issue)| fits(issue)).collect();
        let by_update = request.get("order_by") == Some("updated_at");
        found.sort_by_key(|(number, issue)| (if by_update { issue.updated } else { issue.created }, **number));
        if request.get("sort") != Some("asc") {
            found.reverse();
        }
        self.list(found.into_iter().map(|(number, issue)| view.issue(*number, issue)).collect())
    }

    fn notes(&self, subject: Subject) -> Reply {
        let Some(mut notes) = self.view().notes(subject) else { return missing() };
        if self.request.get("sort") != Some("asc") {
            notes.reverse();
        }
        self.list(notes)
    }

    fn merge_requests(&self) -> Reply {
        let request = self.request;
        let since = request.get("updated_after").and_then(|since| since.parse::<jiff::Timestamp>().ok());
        let fits = |pull: &PullRequest| {
            let branch = request.get("source_branch").is_none_or(|branch| branch == pull.head);
            let state = request.get("state").unwrap_or("all");
            let is_recent = since.is_none_or(|since| pull.issue.updated >= since.as_second());
            branch && (state == "all" || state == state_name(pull)) && is_recent
        };
        let mut found: Vec<_> = self.project.pull_requests.iter().rev().filter(|(_, pull)| fits(pull)).collect();
        if request.get("sort") == Some("asc") {
            found.sort_by_key(|(_, pull)| pull.issue.updated);
        }
        self.list(found.into_iter().map(|(number, pull)| self.view().merge_request(*number, pull)).collect())
    }

    fn merge_request(&self, number: u64, pull: &PullRequest, rest: &[&str]) -> Reply {
        let base = &self.request.base;
        match rest {
            [] => Reply::ok(self.view().merge_request(number, pull)),
            ["notes"] => self.notes(Subject::PullRequest(number)),
            ["discussions"] => self.list(self.view().discussions(number, pull)),
            ["approvals"] => {
                let approved: Vec<Value> = decisions(pull)
                    .filter(|(_, verdict, _)| *verdict == Verdict::Approved)
                    .map(|(login, _, at)| {
                        let mut approval = json!({ "user": user(base, Some(login)) });
                        // Versions before 18.4 do not say when.
                        if !self.forge.hides_times_of_approvals {
                            approval["approved_at"] = time(at).into();
                        }
                        approval
                    })
                    .collect();
                Reply::ok(json!({ "approved": !approved.is_empty(), "approved_by": approved, "approvals_required": 0 }))
            }
            ["pipelines"] => self.list(self.view().pipelines_of(number, pull)),
            ["versions"] => self.list(self.view().versions(number, pull)),
            ["versions", id] => self.view().version(number, pull, id).map_or_else(missing, Reply::ok),
            ["reviewers"] => {
                let state = |verdict: Verdict| match verdict {
                    Verdict::Approved => "approved",
                    Verdict::ChangesRequested => "requested_changes",
                    _ => "reviewed",
                };
                let decided = decisions(pull).map(|(login, verdict, at)| (login, state(verdict), at));
                let requested = pull.reviewers.iter().map(|login| (login.as_str(), "unreviewed", pull.issue.created));
                let reviewer = |(login, state, at): (&str, &str, i64)| json!({ "user": user(base, Some(login)), "state": state, "created_at": time(at) });
                Reply::ok(decided.chain(requested).map(reviewer).collect())
            }
            _ => no_route(),
        }
    }

    fn member(&self, id: &str) -> Reply {
        let login = id.parse().ok().and_then(|id| self.forge.user_of_id(id));
        let Some(login) = login else { return missing() };
        let level = self.forge.permission(self.path, login);
        // Reading a public project makes no user a member.
        let is_member = self.project.permissions.contains_key(login) || level > Permission::Read;
        if !is_member || level == Permission::None {
            return missing();
        }
        let mut member = user(&self.request.base, Some(login));
        member["access_level"] = level.level().into();
        Reply::ok(member)
    }
}

/// The last decision of each reviewer.
fn decisions(pull: &PullRequest) -> impl Iterator<Item = (&str, Verdict, i64)> {
    let is_last = |at: usize| !pull.reviews[at + 1..].iter().any(|later| later.author == pull.reviews[at].author);
    let last = pull.reviews.iter().enumerate().filter(move |(at, _)| is_last(*at));
    last.map(|(_, review)| (review.author.as_str(), review.verdict, review.submitted))
}
