//! Requests that read something of a project.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::objects::{api, full_repository, label, missing, permissions, user};
use super::view::View;
use crate::forge_server::api_request::ApiRequest;
use crate::forge_server::check::{Check, CheckState};
use crate::forge_server::issue::{Issue, Subject};
use crate::forge_server::list::{Length, Page};
use crate::forge_server::permission::Permission;
use crate::forge_server::pull_request::PullRequest;
use crate::forge_server::reply::Reply;
use crate::forge_server::state::{ForgeState, Project};

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
                let permission = self.request.login.as_deref().map(|login| self.forge.permission(self.path, login));
                Reply::ok(full_repository(view.repository(), &self.project.settings, permission))
            }
            ["issues"] => self.issues(),
            ["issues", number] => match number.parse() {
                Ok(number) if self.project.deleted.contains(&number) => Reply::error(410, "This issue was deleted"),
                Ok(number) => self.found(self.project.subject_at(number).and_then(|subject| view.subject(subject))),
                Err(_) => missing(),
            },
            ["issues", number, "comments"] => self.comments(number),
            ["issues", number, "events"] => {
                let subject = number.parse().ok().and_then(|number| self.project.subject_at(number));
                let Some((subject, issue)) = subject.and_then(|it| Some((it, self.project.subject(it)?))) else {
                    return missing();
                };
                self.list(issue.marks.iter().map(|change| view.issue_event(subject, change)).collect())
            }
            ["issues", number, "dependencies", "blocked_by"] => {
                let issue = number.parse().ok().and_then(|number: u64| self.project.issues.get(&number));
                let Some(issue) = issue else { return missing() };
                let blocking = issue.blocked_by.iter().filter_map(|number| view.subject(Subject::Issue(*number)));
                self.list(blocking.collect())
            }
            ["issues", number, "sub_issues"] => {
                let issue = number.parse().ok().and_then(|number: u64| self.project.issues.get(&number));
                let Some(issue) = issue else { return missing() };
                self.list(issue.sub_issues.iter().filter_map(|number| view.subject(Subject::Issue(*number))).collect())
            }
            ["labels"] => {
                let repo = format!("{}/repos/{}", api(self.request), self.path);
                self.list(self.project.label_names().iter().map(|name| label(&repo, name)).collect())
            }
            ["contents", name] => match self.project.files.get(*name) {
                Some(text) => Reply::ok(json!({
                    "type": "file", "name": name, "path": name, "size": text.len(), "encoding": "base64",
                    "content": STANDARD.encode(text) + "\n",
                })),
                None => missing(),
            },
            ["collaborators", login, "permission"] => self.permission(login),
            ["pulls"] => self.pulls(),
            ["pulls", number, rest @ ..] => {
                let Ok(number) = number.parse() else { return missing() };
                let Some(pull) = self.project.pull_requests.get(&number) else { return missing() };
                match rest {
                    [] => Reply::ok(view.full_pull(number, pull)),
                    ["reviews"] => self.list(pull.reviews.iter().map(|review| view.review(number, review)).collect()),
                    ["comments"] => {
                        let threads = pull.threads.iter().flat_map(|thread| view.thread(number, pull, thread));
                        let mut comments: Vec<Value> = threads.collect();
                        comments.sort_by_key(|comment| comment["id"].as_u64());
                        self.list(comments)
                    }
                    _ => missing(),
                }
            }
            ["commits", commit, "status"] => self.statuses(commit),
            ["commits", commit, "check-runs"] => {
                let runs: Vec<Value> = self.checks(commit, true).map(|check| view.check_run(commit, check)).collect();
                self.list_in(runs, "check_runs", json!({}))
            }
            ["actions", "jobs", job, "logs"] => match self.job(job) {
                Some(_) => {
                    let url = format!("{}/logs/{}/{job}?sig=c2ln", self.forge.logs_url, self.project.id);
                    Reply { text: Some(String::new()), ..Reply::new(302, Value::Null) }.header("location", url)
                }
                None => missing(),
            },
            ["rules", "branches", ..] => self.list(view.rules()),
            ["git", "ref", "heads", branch @ ..] => self.found(self.branch(&branch.join("/"))),
            ["hooks"] if self.forge.permission(self.path, self.request.actor()) < Permission::Admin => missing(),
            ["hooks"] => self.list(self.project.hooks.iter().map(|hook| view.hook(hook)).collect()),
            _ => missing(),
        }
    }

    fn branch(&self, name: &str) -> Option<Value> {
        let commit = self.project.branch(name);
        let repo = format!("{}/repos/{}", api(self.request), self.path);
        commit.map(|commit| {
            json!({
                "ref": format!("refs/heads/{name}"), "node_id": "REF_1", "url": format!("{repo}/git/refs/heads/{name}"),
                "object": { "type": "commit", "sha": commit, "url": format!("{repo}/git/commits/{commit}") },
            })
        })
    }

    fn found(&self, object: Option<Value>) -> Reply {
        object.map_or_else(missing, Reply::ok)
    }

    fn list(&self, all: Vec<Value>) -> Reply {
        let page = Page::of(all, self.request, self.forge, Length { name: "per_page", default: 30 });
        match page.links(self.request) {
            Some(links) => page.reply().header("link", links),
            None => page.reply(),
        }
    }

    /// A list in a field of an object.
    fn list_in(&self, all: Vec<Value>, name: &str, mut object: Value) -> Reply {
        let page = Page::of(all, self.request, self.forge, Length { name: "per_page", default: 30 });
        object["total_count"] = page.total.into();
        let links = page.links(self.request);
        object[name] = Value::Array(page.entries);
        match links {
            Some(links) => Reply::ok(object).header("link", links),
            None => Reply::ok(object),
        }
    }

    /// Issues and pull requests together.
    fn issues(&self) -> Reply {
        let (request, view) = (self.request, self.view());
        let is_open = |subject: Subject, issue: &Issue| match subject {
            Subject::Issue(_) => !issue.closed,
            Subject::PullRequest(number) => self.project.pull_requests.get(&number).is_some_and(PullRequest::is_open),
        };
        let since = request.get("since").and_then(|since| since.parse::<jiff::Timestamp>().ok());
        let labels: Vec<&str> = request.get("labels").into_iter().flat_map(|names| names.split(',')).collect();
        let fits = |subject: &Subject| {
            let Some(issue) = self.project.subject(*subject) else { return false };
            let state = match request.get("state").unwrap_or("open") {
                "all" => true,
                "closed" => !is_open(*subject, issue),
                _ => is_open(*subject, issue),
            };
            let has_labels =
                labels.iter().all(|label| issue.labels.iter().any(|name| name.eq_ignore_ascii_case(label)));
            state && has_labels && since.is_none_or(|since| issue.updated >= since.as_second())
        };
        let mut found: Vec<(i64, Subject)> =
            self.project.subjects().filter(fits).map(|s| (self.sort_key(s), s)).collect();
        found.sort_by_key(|(key, subject)| (*key, subject.number()));
        if request.get("direction") != Some("asc") {
            found.reverse();
        }
        self.list(found.into_iter().filter_map(|(_, subject)| view.subject(subject)).collect())
    }

    fn sort_key(&self, subject: Subject) -> i64 {
        let issue = self.project.subject(subject);
        let by_update = self.request.get("sort") == Some("updated");
        issue.map_or(0, |issue| if by_update { issue.updated } else { issue.created })
    }

    fn comments(&self, number: &str) -> Reply {
        let subject = number.parse().ok().and_then(|number| self.project.subject_at(number));
        let Some((subject, issue)) = subject.and_then(|it| Some((it, self.project.subject(it)?))) else {
            return missing();
        };
        let comments = issue.comments.iter().map(|comment| self.view().comment(subject, comment));
        self.list(comments.collect())
    }

    fn permission(&self, login: &str) -> Reply {
        if self.forge.permission(self.path, self.request.actor()) < Permission::Write {
            return Reply::error(403, "Must have push access to view collaborator permission.");
        }
        if !self.forge.users.contains(login) && !self.project.permissions.contains_key(login) {
            return missing();
        }
        let permission = self.forge.permission(self.path, login);
        let mut account = user(&self.request.base, &api(self.request), login);
        account["permissions"] = permissions(permission);
        account["role_name"] = permission.name().into();
        Reply::ok(json!({
            "permission": permission.base().name(), "role_name": permission.name(), "user": account,
        }))
    }

    fn pulls(&self) -> Reply {
        let (request, view) = (self.request, self.view());
        let state = request.get("state").unwrap_or("open");
        let fits = |pull: &PullRequest| {
            let head = request.get("head").is_none_or(|head| head == format!("{}:{}", view.owner_of(pull), pull.head));
            let base = request.get("base").is_none_or(|base| base == pull.base);
            let state = match state {
                "all" => true,
                "closed" => !pull.is_open(),
                _ => pull.is_open(),
            };
            head && base && state
        };
        let found = self.project.pull_requests.iter().rev().filter(|(_, pull)| fits(pull));
        self.list(found.map(|(number, pull)| Value::Object(view.pull(*number, pull))).collect())
    }

    /// The reports of other programs, or the jobs of GitHub Actions.
    fn checks(&self, commit: &str, jobs: bool) -> impl Iterator<Item = &Check> {
        let checks = self.project.checks.get(commit).into_iter().flatten();
        checks.filter(move |check| check.log.is_some() == jobs)
    }

    fn statuses(&self, commit: &str) -> Reply {
        let view = self.view();
        let has = |wanted: &[CheckState]| self.checks(commit, false).any(|check| wanted.contains(&check.state));
        let state = if has(&[CheckState::Failure]) {
            "failure"
        } else if has(&[CheckState::Queued, CheckState::Running, CheckState::Unknown])
            || self.checks(commit, false).next().is_none()
        {
            // Also if nothing is reported.
            "pending"
        } else {
            "success"
        };
        let statuses: Vec<Value> = self.checks(commit, false).map(|check| view.status(commit, check)).collect();
        let url = format!("{}/repos/{}/commits/{commit}", api(self.request), self.path);
        let object = json!({
            "state": state, "sha": commit, "repository": view.repository(), "commit_url": url, "url": format!("{url}/status"),
        });
        self.list_in(statuses, "statuses", object)
    }

    fn job(&self, id: &str) -> Option<&Check> {
        let id: u64 = id.parse().ok()?;
        self.project.checks.values().flatten().find(|check| check.id == id && check.log.is_some())
    }
}
