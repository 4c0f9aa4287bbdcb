//! GitLab. The API takes a project's path as one segment, and merge requests have numbers of their own.

use std::sync::Arc;

use kugetsu_domain::reference::{ForgeKind, ProjectPath, ServerBase};
use kugetsu_domain::secret_forms::TokenUser;
use serde::Deserialize;

use super::dialect::{ApiPaths, Dialect, Pages, PublicServer};
use super::probe::{Identity, Prober};
use super::wire::{self, Label, Me, User};
use crate::error::ForgeError;
use crate::forge::{BoxFuture, Forge, Issue, IssueState, Version};
use crate::http::client::{Client, HttpDialect};
use crate::http::paging::{PER_PAGE, Paging};
use crate::pull_request::{Facts, MergeCheck, PullRequest};

pub(super) static GITLAB: Dialect = Dialect {
    kind: ForgeKind::GitLab,
    pull_request_name: "merge request",
    public: &[PublicServer { base: "https://gitlab.com", api: None, ssh_host: Some("altssh.gitlab.com") }],
    token_variable: "GITLAB_TOKEN",
    git_user: TokenUser::Oauth2,
    pages: Pages {
        nested_projects: true,
        // Versions before 12.0 wrote addresses without it.
        separator: Some("-"),
        issue_words: &["issues", "work_items"],
        pull_request_words: &["merge_requests"],
        comment_anchors: &["note_"],
        pull_request_sign: Some('!'),
        shared_numbers: false,
    },
    api: ApiPaths { root: "api/v4", projects: "projects", project_in_one_segment: true },
    http: HttpDialect {
        token_header: "private-token",
        token_prefix: "",
        accept: "application/json",
        version: None,
        paging: Paging::NextPage,
    },
    connect: |server, client| Arc::new(GitLab { server, client }),
    probe: Some(|prober| Box::pin(probe(prober))),
};

/// Prefixes of titles that mark a draft, on versions without the field `draft`.
const DRAFT_PREFIXES: &[&str] = &["Draft:", "[Draft]", "(Draft)", "WIP:", "[WIP]"];

/// The REST API.
#[derive(Debug)]
struct GitLab {
    server: ServerBase,
    client: Client,
}

#[derive(Deserialize)]
struct VersionBody {
    version: Option<String>,
}

#[derive(Deserialize)]
struct IssueBody {
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
struct MergeRequest {
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
    async fn get_merge_request(&self, project: &ProjectPath, number: u64) -> Result<PullRequest, ForgeError> {
        let path = ["projects", project.as_str(), "merge_requests", &number.to_string()];
        Ok(self.convert(self.client.get::<MergeRequest>(&path).await?, project))
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
        let convert = |request: MergeRequest| request.is_from(branch).then(|| self.convert(request, project));
        let path = ["projects", project.as_str(), "merge_requests"];
        let mut found = self.client.list(&path, &query, convert).await?;
        // Lists show the result of an old check; requesting a single merge request triggers a new one.
        for request in found.iter_mut().filter(|request| request.state.is_open()) {
            *request = self.get_merge_request(project, request.number).await?;
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
            state: facts.state(),
            draft,
            merge,
            head_branch: request.source_branch.unwrap_or_default(),
            head_sha: request.sha.unwrap_or_default(),
            base_branch: request.target_branch.unwrap_or_default(),
            updated: wire::time(request.updated_at.as_deref()),
        }
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
            let body: VersionBody = self.client.get(&["version"]).await?;
            Ok(Version { kind: ForgeKind::GitLab, text: body.version })
        })
    }

    fn issue<'a>(&'a self, project: &'a ProjectPath, number: u64) -> BoxFuture<'a, Issue> {
        Box::pin(async move {
            let path = ["projects", project.as_str(), "issues", &number.to_string()];
            self.client.get::<IssueBody>(&path).await.map(Issue::from)
        })
    }

    fn pull_request<'a>(&'a self, project: &'a ProjectPath, number: u64) -> BoxFuture<'a, PullRequest> {
        Box::pin(self.get_merge_request(project, number))
    }

    fn find_pull_requests<'a>(&'a self, project: &'a ProjectPath, branch: &'a str) -> BoxFuture<'a, Vec<PullRequest>> {
        Box::pin(self.find(project, branch))
    }
}

impl From<IssueBody> for Issue {
    fn from(body: IssueBody) -> Self {
        Self {
            number: body.iid,
            title: body.title.unwrap_or_default(),
            body: body.description.unwrap_or_default(),
            state: if body.state.as_deref() == Some("closed") { IssueState::Closed } else { IssueState::Open },
            author: wire::login(body.author),
            labels: wire::label_names(body.labels),
            url: body.web_url.unwrap_or_default(),
            is_pull_request: false,
            updated: wire::time(body.updated_at.as_deref()),
        }
    }
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

/// A GitLab reports its version only with a token; without one, it refuses with a message of its own.
async fn probe(prober: &Prober) -> Result<Option<Identity>, ForgeError> {
    let response = prober.get("api/v4/version").await?;
    let identity = |version| Some(Identity { kind: ForgeKind::GitLab, version });
    Ok(match response.status() {
        200 => match (response.field("version"), response.field("revision")) {
            (Some(version), Some(_)) => identity(Some(version)),
            _ => None,
        },
        401 if response.field("message").as_deref() == Some("401 Unauthorized") => identity(None),
        _ => None,
    })
}
