//! Requests that read something of a project.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::view::{View, label, missing, user};
use crate::forge_server::access;
use crate::forge_server::api_request::ApiRequest;
use crate::forge_server::check::{Check, CheckState};
use crate::forge_server::flavor::Flavor;
use crate::forge_server::issue::{Issue, Subject};
use crate::forge_server::list::{Length, Page};
use crate::forge_server::permission::Permission;
use crate::forge_server::pull_request::PullRequest;
use crate::forge_server::reply::Reply;
use crate::forge_server::state::{ForgeState, Project};

/// The first version of Forgejo that serves jobs and their logs.
const FORGEJO_WITH_LOGS: u32 = 17;

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
            [] => {
                let mut repository = view.repository(self.path, self.project.id);
                if let Some(login) = self.request.login.as_deref() {
                    let permission = self.forge.permission(self.path, login);
                    repository["permissions"] = json!({
                        "admin": permission >= Permission::Admin, "push": permission >= Permission::Write,
                        "pull": permission >= Permission::Read,
                    });
                }
                Reply::ok(repository)
            }
            ["contents", name] => match self.project.files.get(*name) {
                Some(text) => Reply::ok(json!({
                    "type": "file", "name": name, "path": name, "size": text.len(), "encoding": "base64",
                    "content": STANDARD.encode(text),
                })),
                None => missing(self.request),
            },
            ["issues"] => self.issues(),
            ["issues", number] => self.found(self.subject(number).and_then(|subject| view.subject(subject))),
            ["issues", number, "comments"] => {
                let subject = self.subject(number);
                let Some((subject, issue)) = subject.and_then(|it| Some((it, self.project.subject(it)?))) else {
                    return missing(self.request);
                };
                // All of them, whatever the page.
                let comments: Vec<Value> =
                    issue.comments.iter().map(|comment| view.comment(subject, comment)).collect();
                let total = comments.len().to_string();
                Reply::ok(comments.into()).header("x-total-count", total)
            }
            ["issues", number, "timeline"] => self.timeline(number),
            ["issues", number, "dependencies"] => {
                let issue = number.parse().ok().and_then(|number: u64| self.project.issues.get(&number));
                let Some(issue) = issue else { return missing(self.request) };
                self.list(issue.blocked_by.iter().filter_map(|number| view.subject(Subject::Issue(*number))).collect())
            }
            ["branches", name] => self.found(self.project.branch(name).map(|commit| {
                json!({ "name": name, "commit": { "id": commit, "message": "", "url": "" }, "protected": false })
            })),
            ["labels"] => {
                let label = |name: &String| label(&self.request.base, self.path, name);
                self.list(self.project.label_names().iter().map(label).collect())
            }
            ["collaborators", login, "permission"] => self.permission(login),
            ["pulls"] => self.pulls(),
            ["pulls", number, rest @ ..] => {
                let pull =
                    number.parse().ok().and_then(|number| Some((number, self.project.pull_requests.get(&number)?)));
                match pull {
                    Some((number, pull)) => self.pull(number, pull, rest),
                    None => missing(self.request),
                }
            }
            ["commits", commit, "status"] => self.statuses(commit),
            ["actions", rest @ ..] if self.has_logs() => self.actions(rest),
            ["hooks"] if self.forge.permission(self.path, self.request.actor()) < Permission::Admin => {
                Reply::error(403, "user should be an owner or a collaborator with admin write of a repository")
            }
            ["hooks"] => {
                let kind = if self.forge.flavor == Flavor::Forgejo { "forgejo" } else { "gitea" };
                self.list(self.project.hooks.iter().map(|hook| view.hook(hook, kind)).collect())
            }
            _ => missing(self.request),
        }
    }

    fn has_logs(&self) -> bool {
        let major = self.forge.version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        self.forge.flavor == Flavor::Gitea || major.is_some_and(|major| major >= FORGEJO_WITH_LOGS)
    }

    fn subject(&self, number: &str) -> Option<Subject> {
        self.project.subject_at(number.parse().ok()?)
    }

    fn found(&self, object: Option<Value>) -> Reply {
        object.map_or_else(|| missing(self.request), Reply::ok)
    }

    fn list(&self, all: Vec<Value>) -> Reply {
        let page = Page::of(all, self.request, self.forge, Length { name: "limit", default: 30 });
        let (links, total) = (page.links(self.request), page.total.to_string());
        let reply = page.reply().header("x-total-count", total);
        match links {
            Some(links) => reply.header("link", links),
            None => reply,
        }
    }

    /// A list in a field of an object.
    fn list_in(&self, all: Vec<Value>, name: &str, mut object: Value) -> Reply {
        let page = Page::of(all, self.request, self.forge, Length { name: "limit", default: 30 });
        object["total_count"] = page.total.into();
        let (links, total) = (page.links(self.request), page.total.to_string());
        object[name] = Value::Array(page.entries);
        let reply = Reply::ok(object).header("x-total-count", total);
        match links {
            Some(links) => reply.header("link", links),
            None => reply,
        }
    }

    fn issues(&self) -> Reply {
        let (request, view) = (self.request, self.view());
        let since = request.get("since").and_then(|since| since.parse::<jiff::Timestamp>().ok());
        // Names that the project does not have are dropped, and with the last one the filter.
        let known = self.project.label_names();
        let names = request.get("labels").into_iter().flat_map(|names| names.split(','));
        let labels: Vec<&str> = names.filter(|name| known.contains(*name)).collect();
        let is_closed = |subject: Subject, issue: &Issue| match subject {
            Subject::Issue(_) => issue.closed,
            Subject::PullRequest(number) => !self.project.pull_requests.get(&number).is_some_and(PullRequest::is_open),
        };
        let fits = |subject: &Subject| {
            let Some(issue) = self.project.subject(*subject) else { return false };
            let kind = match request.get("type") {
                Some("issues") => matches!(subject, Subject::Issue(_)),
                Some("pulls") => matches!(subject, Subject::PullRequest(_)),
                _ => true,
            };
            let state = match request.get("state").unwrap_or("open") {
                "all" => true,
                "closed" => is_closed(*subject, issue),
                _ => !is_closed(*subject, issue),
            };
            // Any of them.
            let has_label = labels.is_empty() || issue.labels.iter().any(|name| labels.contains(&name.as_str()));
            kind && state && has_label && since.is_none_or(|since| issue.updated >= since.as_second())
        };
        let mut found: Vec<Subject> = self.project.subjects().filter(fits).collect();
        found.sort_by_key(|subject| std::cmp::Reverse(subject.number()));
        self.list(found.into_iter().filter_map(|subject| view.subject(subject)).collect())
    }

    /// Comments and changes. Without a page, all of them; the total is that of the page.
    fn timeline(&self, number: &str) -> Reply {
        let subject = self.subject(number);
        let Some((subject, issue)) = subject.and_then(|it| Some((it, self.project.subject(it)?))) else {
            return missing(self.request);
        };
        let view = self.view();
        let comments = issue.comments.iter().map(|comment| (comment.created, view.timeline_comment(subject, comment)));
        let changes = issue.marks.iter().map(|change| (change.at, view.mark_change(subject, change)));
        let pull = match subject {
            Subject::PullRequest(number) => self.project.pull_requests.get(&number),
            Subject::Issue(_) => None,
        };
        let milestones = pull.into_iter().flat_map(|pull| &pull.milestones);
        let milestones = milestones.map(|milestone| (milestone.at, view.milestone(subject, milestone)));
        let mut entries: Vec<(i64, Value)> = comments.chain(changes).chain(milestones).collect();
        entries.sort_by_key(|(at, _)| *at);
        let entries: Vec<Value> = entries.into_iter().map(|(_, entry)| entry).collect();
        let reply = match self.request.get("page") {
            Some(_) => Page::of(entries, self.request, self.forge, Length { name: "limit", default: 30 }).reply(),
            None => Reply::ok(entries.into()),
        };
        let total = reply.body.as_array().map_or(0, Vec::len).to_string();
        reply.header("x-total-count", total)
    }

    fn permission(&self, login: &str) -> Reply {
        let Some(actor) = self.request.login.as_deref() else { return access::token_required(self.forge.flavor) };
        if actor != login && self.forge.permission(self.path, actor) < Permission::Admin {
            let message = "Only admins can query all permissions, repo admins can query all repo permissions, \
                           collaborators can query only their own";
            return Reply::error(403, message);
        }
        if !self.forge.users.contains(login) {
            return missing(self.request);
        }
        let permission = match self.forge.permission(self.path, login).base() {
            Permission::Admin if self.path.split('/').next() == Some(login) => "owner",
            permission => permission.name(),
        };
        Reply::ok(json!({ "permission": permission, "role_name": permission, "user": user(&self.request.base, login) }))
    }

    fn pulls(&self) -> Reply {
        let (request, view) = (self.request, self.view());
        let state = request.get("state").unwrap_or("open");
        // Gitea ignores this parameter and returns all pull requests.
        let head = request.get("head").filter(|_| self.forge.flavor == Flavor::Forgejo);
        let matches = |pull: &PullRequest| {
            let state = match state {
                "all" => true,
                "closed" => !pull.is_open(),
                _ => pull.is_open(),
            };
            state && head.is_none_or(|head| head == pull.head)
        };
        let matching = self.project.pull_requests.iter().rev().filter(|(_, pull)| matches(pull));
        self.list(matching.map(|(number, pull)| view.pull(*number, pull)).collect())
    }

    fn pull(&self, number: u64, pull: &PullRequest, rest: &[&str]) -> Reply {
        let view = self.view();
        match rest {
            [] => Reply::ok(view.pull(number, pull)),
            ["merge"] if pull.merge_commit.is_some() => Reply::empty(),
            ["commits"] => self.list(vec![view.commit(&pull.sha)]),
            ["reviews"] => {
                let reviews = pull.reviews.iter().map(|review| view.review(number, pull, review));
                let requests = pull.reviewers.iter().map(|login| view.review_request(number, pull, login));
                self.list(reviews.chain(requests).collect())
            }
            ["reviews", id, "comments"] => {
                let threads = pull.threads.iter().filter(|thread| thread.review.to_string() == *id);
                // Not paged.
                Reply::ok(threads.flat_map(|thread| view.thread(number, pull, thread)).collect())
            }
            _ => missing(self.request),
        }
    }

    fn statuses(&self, commit: &str) -> Reply {
        let checks = self.project.checks.get(commit).map(Vec::as_slice).unwrap_or_default();
        let has = |state: CheckState| checks.iter().any(|check| check.state == state);
        let state = match () {
            // Nothing is reported.
            () if checks.is_empty() => {
                if self.forge.flavor == Flavor::Gitea {
                    ""
                } else {
                    "pending"
                }
            }
            () if has(CheckState::Failure) => "failure",
            () if checks.iter().any(|check| !check.state.has_ended()) => "pending",
            () => "success",
        };
        let statuses = checks.iter().map(|check| self.view().status(commit, check, self.run_of(check))).collect();
        let url = format!("{}/api/v1/repos/{}/commits/{commit}", self.request.base, self.path);
        let repository = self.view().repository(self.path, self.project.id);
        let object = json!({ "state": state, "sha": commit, "repository": repository, "commit_url": url, "url": format!("{url}/status") });
        self.list_in(statuses, "statuses", object)
    }

    /// Jobs, each the only one of its run.
    fn jobs(&self) -> impl Iterator<Item = (&String, &Check)> {
        let all =
            self.project.checks.iter().flat_map(|(commit, checks)| checks.iter().map(move |check| (commit, check)));
        all.filter(|(_, check)| check.log.is_some())
    }

    /// The number of a job's run.
    fn run_of(&self, check: &Check) -> usize {
        self.jobs().position(|(_, job)| job.id == check.id).map_or(0, |at| at + 1)
    }

    fn actions(&self, rest: &[&str]) -> Reply {
        let ended = |check: &Check| if check.state.has_ended() { "completed" } else { "in_progress" };
        match rest {
            ["runs"] => {
                let run = |(commit, check): (&String, &Check)| {
                    let number = self.run_of(check);
                    let name = if self.forge.flavor == Flavor::Gitea { "run_number" } else { "index_in_repo" };
                    json!({ "id": 7000 + number, name: number, "head_sha": commit, "commit_sha": commit, "status": ended(check) })
                };
                self.list_in(self.jobs().map(run).collect(), "workflow_runs", json!({}))
            }
            ["runs", run, "jobs"] => {
                let job = self.jobs().find(|(_, check)| (7000 + self.run_of(check)).to_string() == *run);
                let Some((commit, check)) = job else { return missing(self.request) };
                let job = json!({ "id": check.id, "name": check.name, "head_sha": commit, "status": ended(check) });
                match self.forge.flavor {
                    Flavor::Forgejo => self.list(vec![job]),
                    _ => self.list_in(vec![job], "jobs", json!({})),
                }
            }
            ["jobs", job, "logs"] => match self.jobs().find(|(_, check)| check.id.to_string() == *job) {
                Some((_, check)) => Reply::text(check.log.as_deref().unwrap_or_default()),
                None => missing(self.request),
            },
            _ => missing(self.request),
        }
    }
}
