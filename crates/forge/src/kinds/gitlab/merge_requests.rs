//! Merge requests: reading, opening, changing and merging them.

use kugetsu_domain::reference::ProjectPath;
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::api::{GITLAB, GitLab};
use crate::error::ForgeError;
use crate::http::paging::PER_PAGE;
use crate::kinds::wire::{self, User};
use crate::pull_request::{Facts, MergeCheck, NewPullRequest, PullRequest, PullRequestEdit};

/// Prefixes of titles that mark a draft, on versions without the field `draft`.
const DRAFT_PREFIXES: &[&str] = &["Draft:", "[Draft]", "(Draft)", "WIP:", "[WIP]"];

#[derive(Deserialize)]
struct MergeRequest {
    iid: u64,
    web_url: Option<String>,
    title: Option<String>,
    description: Option<String>,
    author: Option<User>,
    state: Option<String>,
    draft: Option<bool>,
    work_in_progress: Option<bool>,
    detailed_merge_status: Option<String>,
    merge_status: Option<String>,
    has_conflicts: Option<bool>,
    source_branch: Option<String>,
    source_project_id: Option<u64>,
    target_branch: Option<String>,
    target_project_id: Option<u64>,
    sha: Option<String>,
    merge_commit_sha: Option<String>,
    squash_commit_sha: Option<String>,
    updated_at: Option<String>,
}

#[derive(Deserialize)]
struct Branch {
    commit: Tip,
}

#[derive(Deserialize)]
struct Tip {
    id: String,
}

impl GitLab {
    pub(super) async fn get_pull(&self, project: &ProjectPath, number: u64) -> Result<PullRequest, ForgeError> {
        let path = ["projects", project.as_str(), "merge_requests", &number.to_string()];
        Ok(self.convert(self.client.get::<MergeRequest>(&path).await?, project))
    }

    pub(super) async fn find_pulls(&self, project: &ProjectPath, branch: &str) -> Result<Vec<PullRequest>, ForgeError> {
        let per_page = PER_PAGE.to_string();
        let query = [
            ("source_branch", branch),
            ("state", "all"),
            ("order_by", "updated_at"),
            ("sort", "desc"),
            ("per_page", per_page.as_str()),
        ];
        let convert = |request: MergeRequest| request.is_from(branch).then(|| self.convert(request, project));
        let path = ["projects", project.as_str(), "merge_requests"];
        let mut found = self.client.list_first(&path, &query, convert).await?.entries;
        // Lists show the result of an old check; requesting a single merge request triggers a new one.
        for request in found.iter_mut().filter(|request| request.state.is_open()) {
            *request = self.get_pull(project, request.number).await?;
        }
        Ok(found)
    }

    fn convert(&self, request: MergeRequest, project: &ProjectPath) -> PullRequest {
        let merge = request.merge_check();
        let draft = request.is_draft();
        let state = request.state.as_deref();
        // `locked` is a merge in progress: still open.
        let facts = Facts { merged: state == Some("merged"), closed: state == Some("closed"), draft, merge };
        PullRequest {
            number: request.iid,
            url: GITLAB.pull_request_url(&self.server, project, request.iid, request.web_url),
            title: request.title.unwrap_or_default(),
            body: request.description.unwrap_or_default(),
            author: wire::login(request.author),
            state: facts.state(),
            draft,
            merge,
            head_branch: request.source_branch.unwrap_or_default(),
            head_sha: request.sha.unwrap_or_default(),
            base_branch: request.target_branch.unwrap_or_default(),
            merge_commit: request.merge_commit_sha.or(request.squash_commit_sha).filter(|_| facts.merged),
            updated: wire::time(request.updated_at.as_deref()),
        }
    }

    pub(super) async fn open_pull(
        &self,
        project: &ProjectPath,
        new: &NewPullRequest,
    ) -> Result<PullRequest, ForgeError> {
        let body = json!({
            "title": titled(&new.title, new.draft), "description": new.body, "source_branch": new.head,
            "target_branch": new.base, "remove_source_branch": false,
        });
        let path = ["projects", project.as_str(), "merge_requests"];
        let request = self.client.change::<MergeRequest>(Method::POST, &path, body).await?;
        Ok(self.convert(request, project))
    }

    pub(super) async fn edit_pull(
        &self,
        project: &ProjectPath,
        number: u64,
        edit: &PullRequestEdit,
    ) -> Result<(), ForgeError> {
        let number = number.to_string();
        let path = ["projects", project.as_str(), "merge_requests", &number];
        let mut body = serde_json::Map::new();
        if edit.title.is_some() || edit.draft.is_some() {
            // Whether it is a draft is in the title.
            let request: MergeRequest = self.client.get(&path).await?;
            let draft = edit.draft.unwrap_or_else(|| request.is_draft());
            let title = edit.title.clone().or(request.title).unwrap_or_default();
            body.insert("title".to_owned(), titled(&title, draft).into());
        }
        if let Some(text) = &edit.body {
            body.insert("description".to_owned(), text.clone().into());
        }
        if edit.close {
            body.insert("state_event".to_owned(), "close".into());
        }
        self.client.change_only(Method::PUT, &path, Some(body.into())).await
    }

    pub(super) async fn ask_for_review(
        &self,
        project: &ProjectPath,
        number: u64,
        logins: &[String],
    ) -> Result<(), ForgeError> {
        let mut ids = Vec::new();
        for login in logins {
            ids.extend(self.user_id(login).await?);
        }
        let path = ["projects", project.as_str(), "merge_requests", &number.to_string()];
        self.client.change_only(Method::PUT, &path, Some(json!({ "reviewer_ids": ids }))).await
    }

    pub(super) async fn find_branch(&self, project: &ProjectPath, branch: &str) -> Result<Option<String>, ForgeError> {
        let path = ["projects", project.as_str(), "repository", "branches", branch];
        let found = self.client.get::<Branch>(&path).await;
        Ok(wire::unless_missing(found)?.map(|found| found.commit.id))
    }

    pub(super) async fn remove_branch(&self, project: &ProjectPath, branch: &str) -> Result<(), ForgeError> {
        let path = ["projects", project.as_str(), "repository", "branches", branch];
        wire::unless_gone(self.client.change_only(Method::DELETE, &path, None).await, |_| false)
    }
}

/// The title that marks a draft, or not.
fn titled(title: &str, draft: bool) -> String {
    let plain = wire::without_prefix(title, DRAFT_PREFIXES);
    if draft { format!("{} {plain}", DRAFT_PREFIXES[0]) } else { plain.to_owned() }
}

impl MergeRequest {
    /// Whether the source is this branch of the project itself.
    fn is_from(&self, branch: &str) -> bool {
        self.source_branch.as_deref() == Some(branch)
            && self.source_project_id.is_some()
            && self.source_project_id == self.target_project_id
    }

    fn is_draft(&self) -> bool {
        self.draft == Some(true)
            || self.work_in_progress == Some(true)
            || wire::has_prefix(self.title.as_deref().unwrap_or_default(), DRAFT_PREFIXES)
    }

    /// The detailed status is the first of all obstacles, so it may hide a conflict. Then `has_conflicts` counts, which is
    /// true only if that was checked.
    fn merge_check(&self) -> MergeCheck {
        let is_checking =
            |status: &str| matches!(status, "unchecked" | "checking" | "preparing" | "cannot_be_merged_recheck");
        match (self.merge_status.as_deref(), self.detailed_merge_status.as_deref()) {
            (_, Some("conflict")) => MergeCheck::Conflict,
            (Some(status), _) | (_, Some(status)) if is_checking(status) => MergeCheck::Unknown,
            _ if self.has_conflicts == Some(true) => MergeCheck::Conflict,
            (Some("can_be_merged"), _) | (_, Some("mergeable")) => MergeCheck::Mergeable,
            _ => MergeCheck::Unknown,
        }
    }
}
