//! Objects of a project on Gitea and Forgejo; each server documents them at `/api/swagger`.

use serde_json::{Value, json};

use crate::forge_server::api_request::ApiRequest;
use crate::forge_server::check::{Check, CheckState};
use crate::forge_server::comment::{Comment, HUNK, Review, Thread, Verdict};
use crate::forge_server::hook::Hook;
use crate::forge_server::issue::{Issue, Subject};
use crate::forge_server::mark::{Mark, MarkChange};
use crate::forge_server::pull_request::{BranchHome, Milestone, PrState, PullRequest};
use crate::forge_server::reply::Reply;
use crate::forge_server::state::{ForgeState, LONG_AGO, Project, id_of, time};

pub(super) fn missing(request: &ApiRequest) -> Reply {
    let url = format!("{}/api/swagger", request.base);
    Reply::new(404, json!({ "errors": null, "message": "The target couldn't be found.", "url": url }))
}

pub(super) fn user(base: &str, login: &str) -> Value {
    json!({
        "id": id_of(login), "login": login, "login_name": "", "full_name": "", "email": format!("{login}@noreply.example.org"),
        "avatar_url": format!("{base}/avatars/{login}"), "html_url": format!("{base}/{login}"), "language": "",
        "is_admin": false, "last_login": "0001-01-01T00:00:00Z", "created": LONG_AGO, "restricted": false, "active": false,
        "prohibit_login": false, "location": "", "website": "", "description": "", "visibility": "public",
        "followers_count": 0, "following_count": 0, "starred_repos_count": 0, "username": login,
    })
}

pub(super) fn label(base: &str, path: &str, name: &str) -> Value {
    let url = format!("{base}/api/v1/repos/{path}/labels/{}", id_of(name));
    let id = id_of(name);
    json!({ "id": id, "name": name, "exclusive": false, "is_archived": false, "color": "d73a4a", "description": "", "url": url })
}

/// A project, and the start of all addresses.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    pub(super) base: &'a str,
    pub(super) path: &'a str,
    pub(super) project: &'a Project,
}

impl<'a> View<'a> {
    /// The project at this path.
    pub(super) fn of(forge: &'a ForgeState, request: &'a ApiRequest, path: &'a str) -> Option<Self> {
        Some(Self { base: &request.base, path, project: forge.projects.get(path)? })
    }
}

impl View<'_> {
    pub(super) fn repository(&self, path: &str, id: u64) -> Value {
        let (owner, name) = path.split_once('/').unwrap_or((path, path));
        let page = format!("{}/{path}", self.base);
        let settings = &self.project.settings;
        json!({
            "id": id, "owner": user(self.base, owner), "name": name, "full_name": path, "description": "",
            "empty": false, "private": self.project.members.is_some(), "fork": id != self.project.id, "template": false,
            "mirror": false, "size": 22, "html_url": page, "ssh_url": format!("git@127.0.0.1:{path}.git"),
            "clone_url": format!("{page}.git"), "default_branch": settings.default_branch, "archived": settings.archived, "has_issues": true,
            "has_pull_requests": true, "allow_merge_commits": settings.allows_merge, "allow_squash_merge": settings.allows_squash,
            "allow_rebase": settings.allows_rebase, "allow_rebase_explicit": settings.allows_rebase, "created_at": LONG_AGO, "updated_at": LONG_AGO,
        })
    }

    /// As a list of issues shows it, where pull requests are issues too.
    pub(super) fn subject(&self, subject: Subject) -> Option<Value> {
        let number = subject.number();
        match subject {
            Subject::Issue(_) => {
                let issue = self.project.issues.get(&number)?;
                Some(self.issue(number, issue, issue.closed, "issues"))
            }
            Subject::PullRequest(_) => {
                let pull = self.project.pull_requests.get(&number)?;
                let mut issue = self.issue(number, &pull.issue, !pull.is_open(), "pulls");
                let merged = pull.state == PrState::Merged;
                let merged_at = merged.then(|| time(pull.issue.updated));
                issue["pull_request"] = json!({
                    "draft": pull.state == PrState::Draft, "merged": merged, "merged_at": merged_at, "html_url": issue["html_url"],
                });
                Some(issue)
            }
        }
    }

    /// The fields that issues and pull requests share.
    fn issue(&self, number: u64, issue: &Issue, closed: bool, page: &str) -> Value {
        let (owner, name) = self.path.split_once('/').unwrap_or((self.path, self.path));
        let assignees: Vec<Value> = issue.assignees.iter().map(|login| user(self.base, login)).collect();
        // No assignees are null.
        let assignees = if assignees.is_empty() { Value::Null } else { assignees.into() };
        json!({
            "id": self.project.id * 1000 + number,
            "url": format!("{}/api/v1/repos/{}/issues/{number}", self.base, self.path),
            "html_url": format!("{}/{}/{page}/{number}", self.base, self.path),
            "number": number,
            // The user whom Gitea shows for a deleted account.
            "user": user(self.base, issue.author.as_deref().unwrap_or("Ghost")),
            "original_author": "", "original_author_id": 0,
            "title": issue.title,
            "body": issue.body.as_deref().unwrap_or_default(),
            "ref": "", "assets": [],
            "labels": issue.labels.iter().map(|name| label(self.base, self.path, name)).collect::<Vec<_>>(),
            "milestone": null,
            "assignee": issue.assignees.first().map(|login| user(self.base, login)),
            "assignees": assignees,
            "state": if closed { "closed" } else { "open" },
            "is_locked": false, "comments": issue.comment_count(),
            "created_at": time(issue.created), "updated_at": time(issue.updated),
            "closed_at": closed.then(|| time(issue.updated)),
            "due_date": null,
            "pull_request": null,
            "repository": { "id": self.project.id, "name": name, "owner": owner, "full_name": self.path },
            "pin_order": 0,
        })
    }

    pub(super) fn pull(&self, number: u64, pull: &PullRequest) -> Value {
        let mut json = self.issue(number, &pull.issue, !pull.is_open(), "pulls");
        if let Some(fields) = json.as_object_mut() {
            for only_of_issues in ["pull_request", "repository", "ref", "original_author", "original_author_id"] {
                fields.remove(only_of_issues);
            }
        }
        let page = format!("{}/{}/pulls/{number}", self.base, self.path);
        let merged = pull.state == PrState::Merged;
        json["url"] = page.clone().into();
        json["diff_url"] = format!("{page}.diff").into();
        json["patch_url"] = format!("{page}.patch").into();
        json["draft"] = (pull.state == PrState::Draft).into();
        // `false` has four meanings: a draft, a conflict, a check in progress, or a closed pull request.
        json["mergeable"] = (pull.state == PrState::Open).into();
        json["merged"] = merged.into();
        json["merged_at"] = if merged { time(pull.issue.updated).into() } else { Value::Null };
        let commit = pull.merge_commit.as_ref().unwrap_or(&pull.sha);
        json["merge_commit_sha"] = if merged { commit.as_str().into() } else { Value::Null };
        json["requested_reviewers"] = pull.reviewers.iter().map(|login| user(self.base, login)).collect();
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
        // That of the branch, also after the merge.
        let of_branch = self.project.branch(&pull.head).filter(|_| pull.home == BranchHome::Project && !gone);
        let sha = of_branch.as_ref().unwrap_or(&pull.sha);
        json!({ "label": label, "ref": reference, "sha": sha, "repo_id": id, "repo": repo })
    }

    /// A commit of a pull request.
    pub(super) fn commit(&self, sha: &str) -> Value {
        let url = format!("{}/api/v1/repos/{}/git/commits/{sha}", self.base, self.path);
        let person = json!({ "name": "robot", "email": "robot@noreply.example.org", "date": LONG_AGO });
        json!({
            "url": url, "sha": sha, "created": LONG_AGO, "html_url": format!("{}/{}/commit/{sha}", self.base, self.path),
            "commit": {
                "url": url, "author": person, "committer": person, "message": "Make it quick\n",
                "tree": { "url": url, "sha": sha, "created": LONG_AGO },
            },
            "author": null, "committer": null, "parents": [], "files": [],
        })
    }

    pub(super) fn comment(&self, subject: Subject, comment: &Comment) -> Value {
        let number = subject.number();
        let is_issue = matches!(subject, Subject::Issue(_));
        let page = |word: &str| format!("{}/{}/{word}/{number}", self.base, self.path);
        let page = if is_issue { page("issues") } else { page("pulls") };
        json!({
            "id": comment.id, "html_url": format!("{page}#issuecomment-{}", comment.id),
            "issue_url": if is_issue { page.as_str() } else { "" }, "pull_request_url": if is_issue { "" } else { page.as_str() },
            "user": user(self.base, &comment.author), "original_author": "", "original_author_id": 0, "body": comment.body,
            "assets": [], "created_at": time(comment.created), "updated_at": time(comment.updated),
        })
    }

    /// A comment in the timeline.
    pub(super) fn timeline_comment(&self, subject: Subject, comment: &Comment) -> Value {
        let mut entry = self.comment(subject, comment);
        entry["type"] = "comment".into();
        entry
    }

    /// A change of the state or of the scheduled merge in the timeline.
    pub(super) fn milestone(&self, subject: Subject, milestone: &Milestone) -> Value {
        let mut entry = self.change(subject, milestone.id, &milestone.actor, milestone.at);
        entry["type"] = milestone.kind.into();
        entry
    }

    /// The fields that all changes in the timeline have.
    fn change(&self, subject: Subject, id: u64, actor: &str, at: i64) -> Value {
        let comment = Comment {
            id,
            author: actor.to_owned(),
            body: String::new(),
            reactions: Vec::new(),
            created: at,
            updated: at,
            system: true,
        };
        self.comment(subject, &comment)
    }

    /// A change of a label or an assignee in the timeline.
    pub(super) fn mark_change(&self, subject: Subject, change: &MarkChange) -> Value {
        let mut entry = self.change(subject, change.id, &change.actor, change.at);
        match &change.mark {
            Mark::Label(name) => {
                (entry["type"], entry["label"]) = ("label".into(), label(self.base, self.path, name));
                entry["body"] = if change.is_set { "1" } else { "" }.into();
            }
            Mark::Assignee(login) => {
                (entry["type"], entry["assignee"]) = ("assignees".into(), user(self.base, login));
                entry["removed_assignee"] = (!change.is_set).into();
            }
        }
        entry
    }

    pub(super) fn review(&self, number: u64, pull: &PullRequest, review: &Review) -> Value {
        let state = match review.verdict {
            Verdict::Approved => "APPROVED",
            Verdict::ChangesRequested => "REQUEST_CHANGES",
            // A dismissed review keeps its state.
            Verdict::Commented | Verdict::Dismissed => "COMMENT",
            Verdict::Pending => "PENDING",
        };
        let page = format!("{}/{}/pulls/{number}", self.base, self.path);
        let comments =
            pull.threads.iter().filter(|thread| thread.review == review.id).map(|thread| thread.comments.len());
        json!({
            "id": review.id, "user": user(self.base, &review.author), "team": null, "state": state, "body": review.body,
            "commit_id": review.commit, "stale": review.commit != pull.sha, "official": true,
            "dismissed": review.verdict == Verdict::Dismissed, "comments_count": comments.sum::<usize>(),
            "submitted_at": time(review.submitted), "updated_at": time(review.submitted),
            "html_url": format!("{page}#issuecomment-{}", review.id), "pull_request_url": page,
        })
    }

    /// A request for a review, which is listed among the reviews.
    pub(super) fn review_request(&self, number: u64, pull: &PullRequest, login: &str) -> Value {
        let review = Review {
            id: id_of(login),
            author: login.to_owned(),
            verdict: Verdict::Pending,
            body: String::new(),
            commit: String::new(),
            submitted: pull.issue.updated,
        };
        let mut json = self.review(number, pull, &review);
        json["state"] = "REQUEST_REVIEW".into();
        json
    }

    /// The comments below a line.
    pub(super) fn thread(&self, number: u64, pull: &PullRequest, thread: &Thread) -> Vec<Value> {
        let page = format!("{}/{}/pulls/{number}", self.base, self.path);
        let resolver = if thread.resolved { user(self.base, &thread.comments[0].author) } else { Value::Null };
        let comment = |comment: &Comment| {
            json!({
                "id": comment.id, "body": comment.body, "user": user(self.base, &comment.author), "resolver": resolver,
                "pull_request_review_id": thread.review, "path": thread.path, "commit_id": pull.sha,
                "original_commit_id": pull.sha, "diff_hunk": HUNK, "position": thread.line.unwrap_or_default(),
                "original_position": if thread.line.is_some() { 0 } else { 2 },
                "html_url": format!("{page}#issuecomment-{}", comment.id), "pull_request_url": page,
                "created_at": time(comment.created), "updated_at": time(comment.updated),
            })
        };
        thread.comments.iter().map(comment).collect()
    }

    /// `run` is the number of the run whose only job it is.
    pub(super) fn status(&self, commit: &str, check: &Check, run: usize) -> Value {
        let status = match check.state {
            CheckState::Success => "success",
            CheckState::Failure => "failure",
            CheckState::Queued | CheckState::Running => "pending",
            CheckState::Skipped => "skipped",
            CheckState::Unknown => "stuck",
        };
        let target = match check.log {
            Some(_) => format!("/{}/actions/runs/{run}/jobs/0", self.path),
            None => format!("https://ci.example.org/{}", check.id),
        };
        json!({
            "id": check.id, "status": status, "context": check.name, "target_url": target,
            "description": format!("{} ended", check.name), "creator": user(self.base, "ci"),
            "url": format!("{}/api/v1/repos/{}/statuses/{commit}", self.base, self.path),
            "created_at": time(check.updated), "updated_at": time(check.updated),
        })
    }

    pub(super) fn hook(&self, hook: &Hook, kind: &str) -> Value {
        json!({
            "id": hook.id, "type": kind, "active": hook.active, "events": hook.events, "authorization_header": "",
            "branch_filter": "*", "config": { "url": hook.url, "content_type": "json" },
            "created_at": LONG_AGO, "updated_at": LONG_AGO,
        })
    }
}
