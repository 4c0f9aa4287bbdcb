//! The subject of a delivery.

use kugetsu_domain::reference::{ForgeKind, ProjectPath};
use serde_json::Value;

/// Something of a project has changed. Nothing else of the body is believed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Notice {
    pub project: ProjectPath,
    pub subject: NoticeSubject,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NoticeSubject {
    /// An issue or its comments. On servers that number both together it may be a pull request.
    Issue(u64),
    /// A pull request, its comments or its reviews.
    PullRequest(u64),
    /// The checks of a commit.
    Checks { commit: String },
    /// A branch.
    Push { branch: String },
    /// The project has a webhook now.
    Ping,
}

/// Reads a body. `event` is the name in the header.
pub(super) fn notice(kind: ForgeKind, event: &str, body: &Value) -> Option<Notice> {
    match kind {
        ForgeKind::GitLab => of_gitlab(body),
        ForgeKind::GitHub | ForgeKind::Gitea | ForgeKind::Forgejo => of_github(event, body),
        ForgeKind::Local => None,
    }
}

/// GitHub, Gitea and Forgejo.
fn of_github(event: &str, body: &Value) -> Option<Notice> {
    let project = ProjectPath::new(body["repository"]["full_name"].as_str()?).ok()?;
    let number = |object: &Value| object["number"].as_u64();
    let subject = match event {
        "ping" => NoticeSubject::Ping,
        "issues" | "issue_assign" | "issue_label" => NoticeSubject::Issue(number(&body["issue"])?),
        "issue_comment" => {
            let is_pull_request = body["issue"]["pull_request"].is_object() || body["is_pull"] == true;
            let number = number(&body["issue"])?;
            if is_pull_request { NoticeSubject::PullRequest(number) } else { NoticeSubject::Issue(number) }
        }
        "push" => NoticeSubject::Push { branch: body["ref"].as_str()?.strip_prefix("refs/heads/")?.to_owned() },
        "status" => NoticeSubject::Checks { commit: commit(&body["sha"])? },
        "check_suite" | "check_run" | "workflow_run" | "workflow_job" => {
            NoticeSubject::Checks { commit: commit(&body[event]["head_sha"])? }
        }
        // On Gitea also `pull_request_approved`, `pull_request_rejected` and others.
        event if event.starts_with("pull_request") => {
            let at = number(&body["pull_request"]).or_else(|| body["number"].as_u64());
            NoticeSubject::PullRequest(at?)
        }
        _ => return None,
    };
    Some(Notice { project, subject })
}

fn of_gitlab(body: &Value) -> Option<Notice> {
    let project = ProjectPath::new(body["project"]["path_with_namespace"].as_str()?).ok()?;
    let attributes = &body["object_attributes"];
    let subject = match body["object_kind"].as_str()? {
        "issue" | "work_item" => NoticeSubject::Issue(attributes["iid"].as_u64()?),
        "merge_request" => NoticeSubject::PullRequest(attributes["iid"].as_u64()?),
        "note" => match attributes["noteable_type"].as_str()? {
            "Issue" => NoticeSubject::Issue(body["issue"]["iid"].as_u64()?),
            "MergeRequest" => NoticeSubject::PullRequest(body["merge_request"]["iid"].as_u64()?),
            _ => return None,
        },
        "pipeline" => NoticeSubject::Checks { commit: commit(&attributes["sha"])? },
        "build" => NoticeSubject::Checks { commit: commit(&body["sha"])? },
        "push" => NoticeSubject::Push { branch: body["ref"].as_str()?.strip_prefix("refs/heads/")?.to_owned() },
        _ => return None,
    };
    Some(Notice { project, subject })
}

/// A commit by its full name.
fn commit(value: &Value) -> Option<String> {
    let commit = value.as_str()?;
    let is_hash = matches!(commit.len(), 40 | 64) && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then(|| commit.to_owned())
}
