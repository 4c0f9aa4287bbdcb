//! Objects of a project on GitHub; see <https://docs.github.com/en/rest>.

use serde_json::{Map, Value, json};

use super::objects::{label, object, repository, user};
use crate::forge_server::api_request::ApiRequest;
use crate::forge_server::check::{Check, CheckState};
use crate::forge_server::comment::{Comment, HUNK, Review, Thread, Verdict};
use crate::forge_server::flavor::Flavor;
use crate::forge_server::hook::Hook;
use crate::forge_server::issue::{Issue, Subject};
use crate::forge_server::mark::{Mark, MarkChange};
use crate::forge_server::permission::Settings;
use crate::forge_server::pull_request::{BranchHome, MergeMethod, PrState, PullRequest};
use crate::forge_server::state::{ForgeState, LONG_AGO, Project, id_of, time};

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
    fn api(&self) -> String {
        format!("{}{}", self.base, Flavor::GitHub.prefix())
    }

    fn url(&self) -> String {
        format!("{}/repos/{}", self.api(), self.path)
    }

    pub(super) fn owner_of<'a>(&'a self, pull: &'a PullRequest) -> &'a str {
        match &pull.home {
            BranchHome::Project => self.path.split('/').next().unwrap_or_default(),
            BranchHome::ForkOf(owner) => owner,
            BranchHome::ForkGone => "unknown",
        }
    }

    pub(super) fn repository(&self) -> Value {
        let private = self.project.members.is_some();
        repository(self.base, &self.api(), self.path, self.project.id, private, &self.project.settings)
    }

    pub(super) fn user(&self, login: Option<&str>) -> Value {
        login.map_or(Value::Null, |login| user(self.base, &self.api(), login))
    }

    /// A change of a label or an assignee.
    pub(super) fn issue_event(&self, subject: Subject, change: &MarkChange) -> Value {
        let (url, actor) = (format!("{}/issues/events/{}", self.url(), change.id), self.user(Some(&change.actor)));
        let mut event = json!({
            "id": change.id, "node_id": format!("LE_{}_{}", subject.number(), change.id), "url": url, "actor": actor,
            "commit_id": null, "commit_url": null, "created_at": time(change.at), "performed_via_github_app": null,
        });
        match &change.mark {
            Mark::Label(name) => {
                event["event"] = if change.is_set { "labeled" } else { "unlabeled" }.into();
                event["label"] = json!({ "name": name, "color": "d73a4a" });
            }
            Mark::Assignee(login) => {
                event["event"] = if change.is_set { "assigned" } else { "unassigned" }.into();
                event["assignee"] = self.user(Some(login));
                event["assigner"] = actor;
                // The trap of this API.
                event["actor"] = self.user(Some(login));
            }
        }
        event
    }

    /// As a list of issues shows it, where pull requests are issues too.
    pub(super) fn subject(&self, subject: Subject) -> Option<Value> {
        let number = subject.number();
        match subject {
            Subject::Issue(_) => {
                let issue = self.project.issues.get(&number)?;
                let page = format!("{}/{}/issues/{number}", self.base, self.path);
                Some(Value::Object(self.issue(number, issue, issue.closed, &page)))
            }
            Subject::PullRequest(_) => {
                let pull = self.project.pull_requests.get(&number)?;
                let page = format!("{}/{}/pull/{number}", self.base, self.path);
                let mut fields = self.issue(number, &pull.issue, !pull.is_open(), &page);
                fields.insert("draft".to_owned(), (pull.state == PrState::Draft).into());
                let merged = (pull.state == PrState::Merged).then(|| time(pull.issue.updated));
                let links = json!({
                    "url": format!("{}/pulls/{number}", self.url()),
                    "html_url": page, "diff_url": format!("{page}.diff"), "patch_url": format!("{page}.patch"), "merged_at": merged,
                });
                fields.insert("pull_request".to_owned(), links);
                Some(Value::Object(fields))
            }
        }
    }

    /// The fields that issues and pull requests share.
    fn issue(&self, number: u64, issue: &Issue, closed: bool, page: &str) -> Map<String, Value> {
        let repo = self.url();
        let url = format!("{repo}/issues/{number}");
        let is_closed = |sub: &&u64| self.project.issues.get(sub).is_none_or(|issue| issue.closed);
        let (total, completed) = (issue.sub_issues.len(), issue.sub_issues.iter().filter(is_closed).count());
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
            "assignee": issue.assignees.first().map(|login| self.user(Some(login))),
            "assignees": issue.assignees.iter().map(|login| self.user(Some(login))).collect::<Vec<_>>(),
            "type": issue.kind.as_ref().map(|name| json!({ "id": 1, "node_id": "IT_1", "name": name, "description": null })),
            "sub_issues_summary": {
                "total": total, "completed": completed, "percent_completed": (100 * completed).checked_div(total).unwrap_or(0),
            },
            "milestone": null,
            "locked": false, "active_lock_reason": null, "comments": issue.comment_count(),
            "author_association": "MEMBER",
            "html_url": page, "url": url, "repository_url": repo,
            "comments_url": format!("{url}/comments"),
            "events_url": format!("{url}/events"),
            "labels_url": format!("{url}/labels{{/name}}"),
            "created_at": time(issue.created), "updated_at": time(issue.updated),
            "closed_at": closed.then(|| time(issue.updated)),
            "closed_by": null,
        }))
    }

    /// A pull request in a list.
    pub(super) fn pull(&self, number: u64, pull: &PullRequest) -> Map<String, Value> {
        let repo = self.url();
        let (url, issue_url) = (format!("{repo}/pulls/{number}"), format!("{repo}/issues/{number}"));
        let page = format!("{}/{}/pull/{number}", self.base, self.path);
        let statuses = format!("{repo}/statuses/{}", pull.sha);
        let merged = pull.state == PrState::Merged;
        let mut fields = self.issue(number, &pull.issue, !pull.is_open(), &page);
        for only_of_issues in
            ["repository_url", "events_url", "labels_url", "state_reason", "closed_by", "sub_issues_summary"]
        {
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
            "node_id": format!("PR_{}_{number}", self.project.id),
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
            "merged_at": merged.then(|| time(pull.issue.updated)),
            "merge_commit_sha": if merged { pull.merge_commit.as_ref().or(Some(&pull.sha)) } else { None },
            "auto_merge": pull.auto_merge.map(|method| self.auto_merge(method)),
            "requested_reviewers": pull.reviewers.iter().map(|login| self.user(Some(login))).collect::<Vec<_>>(), "requested_teams": [],
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
        let (web, api) = (self.base, self.api());
        let repo = match &pull.home {
            BranchHome::Project => self.repository(),
            BranchHome::ForkOf(owner) => {
                repository(web, &api, &format!("{owner}/{name}"), id_of(owner), false, &Settings::default())
            }
            BranchHome::ForkGone => Value::Null,
        };
        let user = if pull.home == BranchHome::ForkGone { Value::Null } else { self.user(Some(owner)) };
        json!({ "label": format!("{owner}:{}", pull.head), "ref": pull.head, "sha": pull.sha, "user": user, "repo": repo })
    }

    /// A single pull request. Only here does GitHub report whether it can be merged.
    pub(super) fn full_pull(&self, number: u64, pull: &PullRequest) -> Value {
        let (mergeable, state) = match pull.state {
            PrState::Open if self.project.settings.holds_merges => (Some(true), "blocked"),
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
            "comments": pull.issue.comment_count(), "review_comments": pull.threads.iter().map(|thread| thread.comments.len()).sum::<usize>(), "commits": 1, "additions": 1, "deletions": 0, "changed_files": 1,
        })));
        Value::Object(fields)
    }

    fn auto_merge(&self, method: MergeMethod) -> Value {
        let method = match method {
            MergeMethod::Merge => "merge",
            MergeMethod::Squash => "squash",
            MergeMethod::Rebase => "rebase",
        };
        let by = self.user(self.path.split('/').next());
        json!({ "enabled_by": by, "merge_method": method, "commit_title": "", "commit_message": "" })
    }

    /// The rules of a branch; all branches have the same.
    pub(super) fn rules(&self) -> Vec<Value> {
        let queue = json!({
            "type": "merge_queue", "ruleset_source_type": "Repository", "ruleset_source": self.path, "ruleset_id": 1,
            "parameters": {
                "check_response_timeout_minutes": 60, "grouping_strategy": "ALLGREEN", "max_entries_to_build": 5,
                "max_entries_to_merge": 5, "merge_method": "SQUASH", "min_entries_to_merge": 1,
                "min_entries_to_merge_wait_minutes": 5,
            },
        });
        self.project.settings.has_merge_queue.then_some(queue).into_iter().collect()
    }

    pub(super) fn comment(&self, subject: Subject, comment: &Comment) -> Value {
        let number = subject.number();
        let word = if matches!(subject, Subject::Issue(_)) { "issues" } else { "pull" };
        json!({
            "id": comment.id, "node_id": format!("IC_{}", comment.id), "body": comment.body,
            "user": self.user(Some(&comment.author)), "author_association": "MEMBER",
            "url": format!("{}/issues/comments/{}", self.url(), comment.id),
            "html_url": format!("{}/{}/{word}/{number}#issuecomment-{}", self.base, self.path, comment.id),
            "issue_url": format!("{}/issues/{number}", self.url()),
            "created_at": time(comment.created), "updated_at": time(comment.updated),
            "performed_via_github_app": null,
        })
    }

    pub(super) fn review(&self, number: u64, review: &Review) -> Value {
        let state = match review.verdict {
            Verdict::Approved => "APPROVED",
            Verdict::ChangesRequested => "CHANGES_REQUESTED",
            Verdict::Commented => "COMMENTED",
            Verdict::Dismissed => "DISMISSED",
            Verdict::Pending => "PENDING",
        };
        let page = format!("{}/{}/pull/{number}#pullrequestreview-{}", self.base, self.path, review.id);
        let pull = format!("{}/pulls/{number}", self.url());
        json!({
            "id": review.id, "node_id": format!("PRR_{}", review.id), "user": self.user(Some(&review.author)),
            "body": review.body, "state": state, "html_url": page, "pull_request_url": pull,
            "_links": { "html": { "href": page }, "pull_request": { "href": pull } },
            "submitted_at": time(review.submitted), "commit_id": review.commit, "author_association": "MEMBER",
        })
    }

    /// The comments of a thread, the first of which the others answer.
    pub(super) fn thread(&self, number: u64, pull: &PullRequest, thread: &Thread) -> Vec<Value> {
        let first = thread.comments.first().map(|comment| comment.id);
        let comment = |comment: &Comment| {
            let url = format!("{}/pulls/comments/{}", self.url(), comment.id);
            let page = format!("{}/{}/pull/{number}#discussion_r{}", self.base, self.path, comment.id);
            let pull_url = format!("{}/pulls/{number}", self.url());
            let links =
                json!({ "self": { "href": url }, "html": { "href": page }, "pull_request": { "href": pull_url } });
            let mut fields = object(json!({
                "id": comment.id, "node_id": format!("PRRC_{}", comment.id), "pull_request_review_id": thread.review,
                "diff_hunk": HUNK, "path": thread.path, "position": thread.line, "original_position": 2,
                "line": thread.line, "original_line": 2, "start_line": null, "original_start_line": null,
                "start_side": null, "side": "RIGHT", "subject_type": "line",
                "commit_id": pull.sha, "original_commit_id": pull.sha, "user": self.user(Some(&comment.author)),
                "body": comment.body, "created_at": time(comment.created), "updated_at": time(comment.updated),
                "author_association": "MEMBER", "url": url, "html_url": page, "pull_request_url": pull_url, "_links": links,
            }));
            if first != Some(comment.id) {
                fields.insert("in_reply_to_id".to_owned(), first.into());
            }
            Value::Object(fields)
        };
        thread.comments.iter().map(comment).collect()
    }

    /// The report of another program.
    pub(super) fn status(&self, commit: &str, check: &Check) -> Value {
        let state = match check.state {
            CheckState::Success | CheckState::Skipped => "success",
            CheckState::Failure => "failure",
            CheckState::Queued | CheckState::Running => "pending",
            CheckState::Unknown => "stuck",
        };
        json!({
            "id": check.id, "node_id": format!("SC_{}", check.id), "state": state, "context": check.name,
            "description": format!("{} on another server", check.name), "avatar_url": null,
            "target_url": format!("{}/ci/{}", self.base, check.id), "required": false,
            "url": format!("{}/statuses/{commit}", self.url()),
            "created_at": time(check.updated), "updated_at": time(check.updated),
        })
    }

    /// The check run of a job.
    pub(super) fn check_run(&self, commit: &str, check: &Check) -> Value {
        let (status, conclusion) = match check.state {
            CheckState::Queued => ("queued", None),
            CheckState::Running => ("in_progress", None),
            CheckState::Success => ("completed", Some("success")),
            CheckState::Failure => ("completed", Some("failure")),
            CheckState::Skipped => ("completed", Some("skipped")),
            CheckState::Unknown => ("completed", Some("stuck")),
        };
        let url = format!("{}/check-runs/{}", self.url(), check.id);
        let page = format!("{}/{}/actions/runs/1/job/{}", self.base, self.path, check.id);
        json!({
            "id": check.id, "node_id": format!("CR_{}", check.id), "head_sha": commit, "external_id": "",
            "name": check.name, "status": status, "conclusion": conclusion, "url": url, "html_url": page,
            "details_url": page, "started_at": time(check.updated),
            "completed_at": check.state.has_ended().then(|| time(check.updated)),
            "output": {
                "title": null, "summary": null, "text": null, "annotations_count": 0,
                "annotations_url": format!("{url}/annotations"),
            },
            "check_suite": { "id": 1 }, "pull_requests": [],
            "app": {
                "id": 15368, "slug": "github-actions", "node_id": "MDM6QXBwMTUzNjg=", "client_id": "Iv1.1",
                "owner": self.user(Some("github")), "name": "GitHub Actions", "description": "",
                "external_url": "https://help.github.com/en/actions", "html_url": format!("{}/apps/github-actions", self.base),
                "created_at": LONG_AGO, "updated_at": LONG_AGO, "permissions": {}, "events": [],
            },
        })
    }

    pub(super) fn hook(&self, hook: &Hook) -> Value {
        let url = format!("{}/hooks/{}", self.url(), hook.id);
        json!({
            "type": "Repository", "id": hook.id, "name": "web", "active": hook.active, "events": hook.events,
            "config": { "url": hook.url, "content_type": "json", "insecure_ssl": "0", "secret": "********" },
            "created_at": LONG_AGO, "updated_at": LONG_AGO, "url": url, "test_url": format!("{url}/test"),
            "ping_url": format!("{url}/pings"), "deliveries_url": format!("{url}/deliveries"),
            "last_response": { "code": null, "status": "unused", "message": null },
        })
    }
}
