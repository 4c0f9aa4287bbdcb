//! GitHub and GitHub Enterprise Server.

use kugetsu_domain::reference::{ForgeKind, ProjectPath, ServerBase};
use reqwest::header::AUTHORIZATION;
use serde::Deserialize;

use super::error::ForgeError;
use super::forge::{BoxFuture, Forge, Version};
use super::github_like::{IssueAnswer, at};
use super::http::base_url::BaseUrl;
use super::http::client::{Client, HttpDialect};
use super::http::credentials::Credentials;
use super::http::paging::{PER_PAGE, Paging};
use super::http::transport::Transport;
use super::issue::Issue;
use super::pull_request::{Facts, MergeCheck, PullRequest};
use super::wire::{self, Me};

/// A server with GitHub's REST API.
#[derive(Debug)]
pub(super) struct GitHub {
    server: ServerBase,
    client: Client,
}

#[derive(Deserialize)]
struct Meta {
    installed_version: Option<String>,
}

#[derive(Deserialize)]
struct PullAnswer {
    number: u64,
    html_url: Option<String>,
    title: Option<String>,
    state: Option<String>,
    draft: Option<bool>,
    merged: Option<bool>,
    merged_at: Option<String>,
    mergeable: Option<bool>,
    mergeable_state: Option<String>,
    head: Option<End>,
    base: Option<End>,
    updated_at: Option<String>,
}

/// One end of a pull request.
#[derive(Default, Deserialize)]
struct End {
    #[serde(rename = "ref")]
    branch: Option<String>,
    /// `owner:branch`.
    label: Option<String>,
    sha: Option<String>,
    /// None where the fork is gone.
    repo: Option<Repo>,
}

#[derive(Deserialize)]
struct Repo {
    id: Option<u64>,
}

impl GitHub {
    pub(super) fn new(server: ServerBase, transport: &Transport, base_url: BaseUrl, credentials: Credentials) -> Self {
        let dialect = HttpDialect {
            token: (AUTHORIZATION, "Bearer "),
            accept: "application/vnd.github+json",
            version: Some(("x-github-api-version", "2022-11-28")),
            paging: Paging::Link,
        };
        Self { server, client: Client::new(transport, base_url, credentials, dialect) }
    }

    async fn pull(&self, project: &ProjectPath, number: u64) -> Result<PullRequest, ForgeError> {
        let number = number.to_string();
        let pull: PullAnswer = self.client.get(&at(project, &["pulls", &number])).await?;
        Ok(self.told(pull, project))
    }

    fn told(&self, pull: PullAnswer, project: &ProjectPath) -> PullRequest {
        pull.pull_request().on(ForgeKind::GitHub, &self.server, project)
    }

    async fn find(&self, project: &ProjectPath, branch: &str) -> Result<Vec<PullRequest>, ForgeError> {
        let owner = project.as_str().split('/').next().unwrap_or_default();
        let head = format!("{owner}:{branch}");
        let per_page = PER_PAGE.to_string();
        let query = [
            ("head", head.as_str()),
            ("state", "all"),
            ("sort", "updated"),
            ("direction", "desc"),
            ("per_page", per_page.as_str()),
        ];
        let keep = |pull: PullAnswer| pull.is_from(branch).then(|| self.told(pull, project));
        let mut found = self.client.list(&at(project, &["pulls"]), &query, keep).await?;
        // Lists do not say whether a change can be merged.
        for pull in found.iter_mut().filter(|pull| pull.state.is_open()) {
            *pull = self.pull(project, pull.number).await?;
        }
        Ok(found)
    }
}

impl Forge for GitHub {
    fn server(&self) -> &ServerBase {
        &self.server
    }

    fn kind(&self) -> ForgeKind {
        ForgeKind::GitHub
    }

    fn whoami(&self) -> BoxFuture<'_, String> {
        Box::pin(async { self.client.get(&["user"]).await.map(|me: Me| me.login) })
    }

    fn version(&self) -> BoxFuture<'_, Version> {
        Box::pin(async {
            let meta: Meta = self.client.get(&["meta"]).await?;
            Ok(Version { kind: ForgeKind::GitHub, text: meta.installed_version })
        })
    }

    fn issue<'a>(&'a self, project: &'a ProjectPath, number: u64) -> BoxFuture<'a, Issue> {
        Box::pin(async move {
            let number = number.to_string();
            self.client.get::<IssueAnswer>(&at(project, &["issues", &number])).await.map(IssueAnswer::issue)
        })
    }

    fn pull_request<'a>(&'a self, project: &'a ProjectPath, number: u64) -> BoxFuture<'a, PullRequest> {
        Box::pin(self.pull(project, number))
    }

    fn find_pull_requests<'a>(&'a self, project: &'a ProjectPath, branch: &'a str) -> BoxFuture<'a, Vec<PullRequest>> {
        Box::pin(self.find(project, branch))
    }
}

impl End {
    fn owner(&self) -> Option<&str> {
        Some(self.label.as_deref()?.split_once(':')?.0)
    }
}

impl PullAnswer {
    /// Whether the head is this branch, and lies in the repository that the change is made to.
    fn is_from(&self, branch: &str) -> bool {
        let (Some(head), Some(base)) = (&self.head, &self.base) else { return false };
        let at_home = match (&head.repo, &base.repo) {
            (Some(head), Some(base)) => head.id.is_some() && head.id == base.id,
            // An answer that names no repositories at all, as that of an emulator, still names their owners.
            (None, None) => head.owner().is_some() && head.owner() == base.owner(),
            _ => false,
        };
        head.branch.as_deref() == Some(branch) && at_home
    }

    fn pull_request(self) -> PullRequest {
        let merge = match (self.mergeable, self.mergeable_state.as_deref()) {
            // Being looked at anew, which the number of the last look does not show.
            (_, Some("unknown")) | (None, _) => MergeCheck::Unknown,
            (Some(true), _) => MergeCheck::Mergeable,
            (Some(false), _) => MergeCheck::Conflict,
        };
        let draft = self.draft == Some(true);
        let facts = Facts {
            // Lists say only when it was.
            merged: self.merged == Some(true) || wire::time(self.merged_at.as_deref()).is_some(),
            closed: self.state.as_deref() == Some("closed"),
            draft,
            merge,
        };
        let head = self.head.unwrap_or_default();
        PullRequest {
            number: self.number,
            url: self.html_url.unwrap_or_default(),
            title: self.title.unwrap_or_default(),
            state: facts.state(),
            draft,
            merge,
            head_branch: head.branch.unwrap_or_default(),
            head_sha: head.sha.unwrap_or_default(),
            base_branch: self.base.and_then(|base| base.branch).unwrap_or_default(),
            updated: wire::time(self.updated_at.as_deref()),
        }
    }
}
