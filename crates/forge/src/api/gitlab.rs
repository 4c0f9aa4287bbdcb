//! GitLab. A project is named by its whole path in one part of the address, and merge requests have numbers of their
//! own.

use kugetsu_domain::reference::{ForgeKind, ProjectPath, ServerBase};
use reqwest::header::HeaderName;
use serde::Deserialize;

use super::error::ForgeError;
use super::forge::{BoxFuture, Forge, Version};
use super::http::base_url::BaseUrl;
use super::http::client::{Client, HttpDialect};
use super::http::credentials::Credentials;
use super::http::paging::{PER_PAGE, Paging};
use super::http::transport::Transport;
use super::issue::{Issue, IssueState};
use super::pull_request::{Facts, MergeCheck, PullRequest};
use super::wire::{self, Label, Me, User};

/// What a title begins with that marks a change as not ready, on versions before the field `draft`.
const DRAFT_WORDS: &[&str] = &["Draft:", "[Draft]", "(Draft)", "WIP:", "[WIP]"];

/// A server with GitLab's REST API.
#[derive(Debug)]
pub(super) struct GitLab {
    server: ServerBase,
    client: Client,
}

#[derive(Deserialize)]
struct VersionAnswer {
    version: Option<String>,
}

#[derive(Deserialize)]
struct IssueAnswer {
    iid: u64,
    title: Option<String>,
    description: Option<String>,
    state: Option<String>,
    author: Option<User>,
    labels: Option<Vec<Label>>,
    web_url: Option<String>,
    updated_at: Option<String>,
}

#[derive(Deserialize)]
struct MergeAnswer {
    iid: u64,
    web_url: Option<String>,
    title: Option<String>,
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
    updated_at: Option<String>,
}

impl GitLab {
    pub(super) fn new(server: ServerBase, transport: &Transport, base_url: BaseUrl, credentials: Credentials) -> Self {
        let dialect = HttpDialect {
            token: (HeaderName::from_static("private-token"), ""),
            accept: "application/json",
            version: None,
            paging: Paging::NextPage,
        };
        Self { server, client: Client::new(transport, base_url, credentials, dialect) }
    }

    async fn merge_request(&self, project: &ProjectPath, number: u64) -> Result<PullRequest, ForgeError> {
        let path = ["projects", project.as_str(), "merge_requests", &number.to_string()];
        let merge: MergeAnswer = self.client.get(&path).await?;
        Ok(self.told(merge, project))
    }

    fn told(&self, merge: MergeAnswer, project: &ProjectPath) -> PullRequest {
        merge.pull_request().on(ForgeKind::GitLab, &self.server, project)
    }

    async fn find(&self, project: &ProjectPath, branch: &str) -> Result<Vec<PullRequest>, ForgeError> {
        let per_page = PER_PAGE.to_string();
        let query = [
            ("source_branch", branch),
            ("state", "all"),
            ("order_by", "updated_at"),
            ("sort", "desc"),
            ("per_page", per_page.as_str()),
        ];
        let keep = |merge: MergeAnswer| merge.is_from(branch).then(|| self.told(merge, project));
        let path = ["projects", project.as_str(), "merge_requests"];
        let mut found = self.client.list(&path, &query, keep).await?;
        // Lists show the result of an old check; asking for one has it checked anew.
        for pull in found.iter_mut().filter(|pull| pull.state.is_open()) {
            *pull = self.merge_request(project, pull.number).await?;
        }
        Ok(found)
    }
}

impl Forge for GitLab {
    fn server(&self) -> &ServerBase {
        &self.server
    }

    fn kind(&self) -> ForgeKind {
        ForgeKind::GitLab
    }

    fn whoami(&self) -> BoxFuture<'_, String> {
        Box::pin(async { self.client.get(&["user"]).await.map(|me: Me| me.login) })
    }

    fn version(&self) -> BoxFuture<'_, Version> {
        Box::pin(async {
            let answer: VersionAnswer = self.client.get(&["version"]).await?;
            Ok(Version { kind: ForgeKind::GitLab, text: answer.version })
        })
    }

    fn issue<'a>(&'a self, project: &'a ProjectPath, number: u64) -> BoxFuture<'a, Issue> {
        Box::pin(async move {
            let path = ["projects", project.as_str(), "issues", &number.to_string()];
            self.client.get::<IssueAnswer>(&path).await.map(IssueAnswer::issue)
        })
    }

    fn pull_request<'a>(&'a self, project: &'a ProjectPath, number: u64) -> BoxFuture<'a, PullRequest> {
        Box::pin(self.merge_request(project, number))
    }

    fn find_pull_requests<'a>(&'a self, project: &'a ProjectPath, branch: &'a str) -> BoxFuture<'a, Vec<PullRequest>> {
        Box::pin(self.find(project, branch))
    }
}

impl IssueAnswer {
    fn issue(self) -> Issue {
        Issue {
            number: self.iid,
            title: self.title.unwrap_or_default(),
            body: self.description.unwrap_or_default(),
            state: if self.state.as_deref() == Some("closed") { IssueState::Closed } else { IssueState::Open },
            author: wire::login(self.author),
            labels: wire::names(self.labels),
            url: self.web_url.unwrap_or_default(),
            is_pull_request: false,
            updated: wire::time(self.updated_at.as_deref()),
        }
    }
}

impl MergeAnswer {
    /// Whether the head is this branch, and lies in the project that the change is made to.
    fn is_from(&self, branch: &str) -> bool {
        self.source_branch.as_deref() == Some(branch)
            && self.source_project_id.is_some()
            && self.source_project_id == self.target_project_id
    }

    fn is_draft(&self) -> bool {
        self.draft == Some(true)
            || self.work_in_progress == Some(true)
            || wire::marks_draft(self.title.as_deref().unwrap_or_default(), DRAFT_WORDS)
    }

    /// The detailed status names the first of all hindrances, so that a conflict may hide behind another one; then
    /// `has_conflicts` tells, which is true only when that was checked.
    fn merge_check(&self) -> MergeCheck {
        let checking =
            |status: &str| matches!(status, "unchecked" | "checking" | "preparing" | "cannot_be_merged_recheck");
        match (self.merge_status.as_deref(), self.detailed_merge_status.as_deref()) {
            (_, Some("conflict")) => MergeCheck::Conflict,
            (Some(status), _) | (_, Some(status)) if checking(status) => MergeCheck::Unknown,
            _ if self.has_conflicts == Some(true) => MergeCheck::Conflict,
            (Some("can_be_merged"), _) | (_, Some("mergeable")) => MergeCheck::Mergeable,
            _ => MergeCheck::Unknown,
        }
    }

    fn pull_request(self) -> PullRequest {
        let merge = self.merge_check();
        let draft = self.is_draft();
        let state = self.state.as_deref();
        // `locked` is a merge under way: still open.
        let facts = Facts { merged: state == Some("merged"), closed: state == Some("closed"), draft, merge };
        PullRequest {
            number: self.iid,
            url: self.web_url.unwrap_or_default(),
            title: self.title.unwrap_or_default(),
            state: facts.state(),
            draft,
            merge,
            head_branch: self.source_branch.unwrap_or_default(),
            head_sha: self.sha.unwrap_or_default(),
            base_branch: self.target_branch.unwrap_or_default(),
            updated: wire::time(self.updated_at.as_deref()),
        }
    }
}
