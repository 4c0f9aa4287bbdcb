//! Objects of a project on GitLab; see <https://docs.gitlab.com/api/rest/>.

use serde_json::{Value, json};

use crate::forge_server::check::{Check, CheckState};
use crate::forge_server::comment::{Comment, HUNK, Review, Thread, Verdict};
use crate::forge_server::hook::Hook;
use crate::forge_server::issue::{Issue, Subject};
use crate::forge_server::mark::{Mark, MarkChange};
use crate::forge_server::pull_request::{BranchHome, PrState, PullRequest, Version};
use crate::forge_server::reply::Reply;
use crate::forge_server::state::{LONG_AGO, Project, id_of, time};

pub(super) fn no_route() -> Reply {
    Reply::new(404, json!({ "error": "404 Not Found" }))
}

pub(super) fn missing() -> Reply {
    Reply::error(404, "404 Not found")
}

pub(super) fn user(base: &str, login: Option<&str>) -> Value {
    let login = login.unwrap_or("ghost1");
    json!({
        "id": id_of(login), "username": login, "name": login, "state": "active", "locked": false,
        "avatar_url": null, "web_url": format!("{base}/{login}"),
    })
}

/// A project, and the start of all addresses.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    pub(super) base: &'a str,
    pub(super) path: &'a str,
    pub(super) project: &'a Project,
}

impl View<'_> {
    pub(super) fn issue(&self, number: u64, issue: &Issue) -> Value {
        let page = format!("{}/{}/-/issues/{number}", self.base, self.path);
        json!({
            "id": self.project.id * 1000 + number, "iid": number, "project_id": self.project.id,
            "title": issue.title, "description": issue.body,
            "state": if issue.closed { "closed" } else { "opened" },
            "created_at": time(issue.created), "updated_at": time(issue.updated),
            "closed_at": issue.closed.then(|| time(issue.updated)), "closed_by": null,
            "labels": issue.labels, "milestone": null, "assignees": self.users(&issue.assignees),
            "assignee": issue.assignees.first().map(|login| user(self.base, Some(login))),
            "author": user(self.base, issue.author.as_deref()),
            "type": "ISSUE", "issue_type": issue.kind.as_deref().unwrap_or("issue"), "user_notes_count": issue.comment_count(), "merge_requests_count": 0,
            "upvotes": 0, "downvotes": 0, "due_date": null, "confidential": false, "discussion_locked": null,
            "web_url": page,
            "references": { "short": format!("#{number}"), "relative": format!("#{number}"), "full": format!("{}#{number}", self.path) },
        })
    }

    pub(super) fn merge_request(&self, number: u64, pull: &PullRequest) -> Value {
        let issue = &pull.issue;
        let draft = pull.state == PrState::Draft;
        let title = if draft { format!("Draft: {}", issue.title) } else { issue.title.clone() };
        let at = |state: PrState| (pull.state == state).then(|| time(issue.updated));
        let short = format!("!{number}");
        let mut fields = json!({
            "id": self.project.id * 1000 + number, "iid": number, "project_id": self.project.id,
            "title": title, "description": issue.body, "state": state_name(pull),
            "created_at": time(issue.created), "updated_at": time(issue.updated),
            "merged_at": at(PrState::Merged), "merged_by": null, "merge_user": null,
            "closed_at": at(PrState::Closed), "closed_by": null,
            "author": user(self.base, issue.author.as_deref()),
            "assignees": self.users(&issue.assignees), "assignee": null, "reviewers": self.users(&pull.reviewers), "labels": issue.labels, "milestone": null,
            "draft": draft, "work_in_progress": draft, "user_notes_count": issue.comment_count(), "upvotes": 0, "downvotes": 0,
            "web_url": format!("{}/{}/-/merge_requests/{number}", self.base, self.path),
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
            PrState::Open if self.project.settings.holds_merges => ("can_be_merged", "not_approved"),
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
            "merge_when_pipeline_succeeds": pull.is_scheduled(), "merge_status": old, "detailed_merge_status": new,
            "has_conflicts": pull.state == PrState::Conflict,
            "sha": pull.sha, "merge_commit_sha": pull.merge_commit, "squash_commit_sha": null, "squash": false,
            "should_remove_source_branch": null, "force_remove_source_branch": false, "discussion_locked": null,
        })
    }

    fn users(&self, logins: &[String]) -> Vec<Value> {
        logins.iter().map(|login| user(self.base, Some(login))).collect()
    }

    /// A comment; `thread` is that of a line.
    pub(super) fn note(&self, subject: Subject, comment: &Comment, thread: Option<&Thread>) -> Value {
        let kind = match subject {
            Subject::Issue(_) => "Issue",
            Subject::PullRequest(_) => "MergeRequest",
        };
        let number = subject.number();
        let mut note = json!({
            "id": comment.id, "type": null, "body": comment.body, "author": user(self.base, Some(&comment.author)),
            "created_at": time(comment.created), "updated_at": time(comment.updated), "system": comment.system,
            "noteable_id": self.project.id * 1000 + number, "noteable_type": kind, "noteable_iid": number,
            "project_id": self.project.id, "resolvable": thread.is_some(), "confidential": false, "internal": false,
        });
        if let Some(thread) = thread {
            note["type"] = "DiffNote".into();
            note["resolved"] = thread.resolved.into();
            // The server moves the positions of lines that are not outdated to the newest version.
            let head = self.project.pull_requests.get(&number).map(|pull| pull.sha.as_str());
            note["position"] = json!({
                "base_sha": null, "start_sha": null, "head_sha": head, "position_type": "text",
                "old_path": thread.path, "new_path": thread.path, "new_line": thread.line,
                "old_line": if thread.line.is_some() { None } else { Some(2) },
            });
        }
        note
    }

    /// A change of a label; `None` for one of an assignee.
    pub(super) fn label_event(&self, number: u64, change: &MarkChange) -> Option<Value> {
        let Mark::Label(name) = &change.mark else { return None };
        Some(json!({
            "id": change.id, "user": user(self.base, Some(&change.actor)), "created_at": time(change.at),
            "resource_type": "Issue", "resource_id": self.project.id * 1000 + number,
            "label": { "id": id_of(name), "name": name, "color": "#d73a4a", "description": null },
            "action": if change.is_set { "add" } else { "remove" },
        }))
    }

    /// The note about a change of an assignee, which has no event.
    fn assignee_note(&self, subject: Subject, change: &MarkChange) -> Option<Value> {
        let Mark::Assignee(login) = &change.mark else { return None };
        let verb = if change.is_set { "assigned to" } else { "unassigned" };
        let comment = Comment {
            id: change.id,
            author: change.actor.clone(),
            body: format!("{verb} @{login}"),
            reactions: Vec::new(),
            created: change.at,
            updated: change.at,
            system: true,
        };
        Some(self.note(subject, &comment, None))
    }

    /// All comments, those below lines among them, oldest first.
    pub(super) fn notes(&self, subject: Subject) -> Option<Vec<Value>> {
        let issue = self.project.subject(subject)?;
        let mut notes: Vec<Value> = issue.comments.iter().map(|comment| self.note(subject, comment, None)).collect();
        notes.extend(issue.marks.iter().filter_map(|change| self.assignee_note(subject, change)));
        if let Subject::PullRequest(number) = subject {
            let pull = self.project.pull_requests.get(&number);
            for thread in pull.into_iter().flat_map(|pull| &pull.threads) {
                notes.extend(thread.comments.iter().map(|comment| self.note(subject, comment, Some(thread))));
            }
            let approvals = pull.into_iter().flat_map(|pull| &pull.reviews);
            let approvals = approvals.filter(|review| review.verdict == Verdict::Approved);
            notes.extend(approvals.map(|review| self.approval_note(subject, review)));
        }
        notes.sort_by_key(|note| (note["created_at"].as_str().unwrap_or_default().to_owned(), note["id"].as_u64()));
        Some(notes)
    }

    /// The heads of a merge request, newest first.
    pub(super) fn versions(&self, number: u64, pull: &PullRequest) -> Vec<Value> {
        let version = |version: &Version| {
            json!({
                "id": version.id, "head_commit_sha": version.sha, "base_commit_sha": null, "start_commit_sha": null,
                "created_at": time(version.created), "merge_request_id": self.project.id * 1000 + number,
                "state": "collected", "real_size": "1",
            })
        };
        pull.versions.iter().rev().map(version).collect()
    }

    /// A version with its changes: those of every file that has a thread.
    pub(super) fn version(&self, number: u64, pull: &PullRequest, id: &str) -> Option<Value> {
        let mut versions = self.versions(number, pull).into_iter();
        let mut version =
            versions.find(|version| version["id"].as_u64().is_some_and(|number| number.to_string() == id))?;
        let diff = |thread: &Thread| {
            json!({
                "old_path": thread.path, "new_path": thread.path, "a_mode": "100644", "b_mode": "100644",
                "new_file": false, "renamed_file": false, "deleted_file": false, "diff": HUNK,
            })
        };
        version["commits"] = json!([]);
        version["diffs"] = pull.threads.iter().map(diff).collect();
        Some(version)
    }

    /// The note about an approval.
    fn approval_note(&self, subject: Subject, review: &Review) -> Value {
        let comment = Comment {
            id: review.id,
            author: review.author.clone(),
            body: "approved this merge request".to_owned(),
            reactions: Vec::new(),
            created: review.submitted,
            updated: review.submitted,
            system: true,
        };
        self.note(subject, &comment, None)
    }

    pub(super) fn discussions(&self, number: u64, pull: &PullRequest) -> Vec<Value> {
        let subject = Subject::PullRequest(number);
        let single = pull.issue.comments.iter().map(|comment| {
            let notes = [self.note(subject, comment, None)];
            json!({ "id": format!("{:040x}", comment.id), "individual_note": true, "notes": notes })
        });
        let threads = pull.threads.iter().map(|thread| {
            let notes: Vec<Value> =
                thread.comments.iter().map(|comment| self.note(subject, comment, Some(thread))).collect();
            json!({ "id": format!("{:040x}", thread.id), "individual_note": false, "notes": notes })
        });
        single.chain(threads).collect()
    }

    /// A job, or the report of another program.
    pub(super) fn status(&self, commit: &str, check: &Check) -> Value {
        let target = match check.log {
            Some(_) => format!("{}/{}/-/jobs/{}", self.base, self.path, check.id),
            None => format!("https://ci.example.org/{}", check.id),
        };
        json!({
            "id": check.id, "sha": commit, "ref": "main", "status": status_name(check.state), "name": check.name,
            "target_url": target, "description": null, "created_at": time(check.updated), "started_at": null,
            "finished_at": null, "allow_failure": false, "coverage": null, "author": user(self.base, Some("ci")),
        })
    }

    /// The pipelines of a merge request, newest first.
    pub(super) fn pipelines_of(&self, number: u64, pull: &PullRequest) -> Vec<Value> {
        let of_merge = pull.merged_result.as_ref().and_then(|(merge, _)| self.pipeline(merge));
        let of_merge = of_merge.map(|mut pipeline| {
            pipeline["ref"] = format!("refs/merge-requests/{number}/merge").into();
            pipeline["source"] = "merge_request_event".into();
            pipeline
        });
        of_merge.into_iter().chain(self.pipeline(&pull.sha)).collect()
    }

    /// The pipeline of all jobs of a commit; `None` if it has none.
    pub(super) fn pipeline(&self, commit: &str) -> Option<Value> {
        let jobs: Vec<&Check> = self.project.checks.get(commit)?.iter().filter(|check| check.log.is_some()).collect();
        let has = |state: CheckState| jobs.iter().any(|job| job.state == state);
        let first = jobs.first()?;
        let status = match () {
            () if has(CheckState::Unknown) => "stuck",
            () if has(CheckState::Running) || has(CheckState::Queued) => "running",
            () if has(CheckState::Failure) => "failed",
            () if jobs.iter().all(|job| job.state == CheckState::Skipped) => "skipped",
            () => "success",
        };
        let id = 9000 + first.id;
        Some(json!({
            "id": id, "iid": 1, "project_id": self.project.id, "sha": commit, "ref": "main", "status": status,
            "source": "push", "created_at": time(first.updated), "updated_at": time(first.updated),
            "web_url": format!("{}/{}/-/pipelines/{id}", self.base, self.path),
        }))
    }

    pub(super) fn hook(&self, hook: &Hook) -> Value {
        let is_set = |name: &str| hook.events.iter().any(|event| event == name);
        json!({
            "id": hook.id, "url": hook.url, "name": "", "description": "", "created_at": LONG_AGO,
            "push_events": is_set("push_events"), "issues_events": is_set("issues_events"),
            "note_events": is_set("note_events"), "merge_requests_events": is_set("merge_requests_events"),
            "pipeline_events": is_set("pipeline_events"), "job_events": is_set("job_events"),
            "enable_ssl_verification": true, "alert_status": if hook.active { "executable" } else { "disabled" },
            "disabled_until": if hook.active { Value::Null } else { "2030-01-01T00:00:00.000Z".into() },
            "project_id": self.project.id,
        })
    }
}

fn status_name(state: CheckState) -> &'static str {
    match state {
        CheckState::Queued => "pending",
        CheckState::Running => "running",
        CheckState::Success => "success",
        CheckState::Failure => "failed",
        CheckState::Skipped => "skipped",
        CheckState::Unknown => "stuck",
    }
}

pub(super) fn state_name(pull: &PullRequest) -> &'static str {
    match pull.state {
        PrState::Merged => "merged",
        PrState::Closed => "closed",
        PrState::Open | PrState::Draft | PrState::Conflict | PrState::Computing => "opened",
    }
}
