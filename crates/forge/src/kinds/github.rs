//! GitHub and GitHub Enterprise Server.

use std::sync::Arc;

use kugetsu_domain::reference::{ForgeKind, ProjectPath, ServerBase};
use kugetsu_domain::secret_forms::TokenUser;
use serde::Deserialize;

use super::dialect::{ApiPaths, Dialect, Pages, PublicServer};
use super::probe::{Identity, Prober};
use super::wire::{self, Me, RepoIssue};
use crate::error::ForgeError;
use crate::forge::{BoxFuture, Forge, Issue, Version};
use crate::http::client::{Client, HttpDialect};
use crate::http::paging::{PER_PAGE, Paging};
use crate::pull_request::{Facts, MergeCheck, PullRequest};

pub(super) static GITHUB: Dialect = Dialect {
    kind: ForgeKind::GitHub,
    pull_request_name: "pull request",
    public: &[PublicServer {
        base: "https://github.com",
        api: Some("https://api.github.com"),
        ssh_host: Some("ssh.github.com"),
    }],
    token_variable: "GITHUB_TOKEN",
    git_user: TokenUser::XAccessToken,
    pages: Pages {
        nested_projects: false,
        separator: None,
        issue_words: &["issues"],
        // The pages say `pull`, the API says `pulls`.
        pull_request_words: &["pull", "pulls"],
        comment_anchors: &["issuecomment-", "discussion_r", "pullrequestreview-"],
        pull_request_sign: None,
        shared_numbers: true,
    },
    api: ApiPaths { root: "api/v3", projects: "repos", project_in_one_segment: false },
    http: HttpDialect {
        token_header: "authorization",
        token_prefix: "Bearer ",
        accept: "application/vnd.github+json",
        version: Some(("x-github-api-version", "2022-11-28")),
        paging: Paging::Link,
    },
    connect: |server, client| Arc::new(GitHub { server, client }),
    probe: Some(|prober| Box::pin(probe(prober))),
};

/// The REST API.
#[derive(Debug)]
struct GitHub {
    server: ServerBase,
    client: Client,
}

#[derive(Deserialize)]
struct Meta {
    installed_version: Option<String>,
}

#[derive(Deserialize)]
struct Pull {
    number: u64,
    html_url: Option<String>,
    title: Option<String>,
    state: Option<String>,
    draft: Option<bool>,
    merged: Option<bool>,
    merged_at: Option<String>,
    mergeable: Option<bool>,
    mergeable_state: Option<String>,
    head: Option<Branch>,
    base: Option<Branch>,
    updated_at: Option<String>,
}

/// Head or base of a pull request.
#[derive(Default, Deserialize)]
struct Branch {
    #[serde(rename = "ref")]
    name: Option<String>,
    /// `owner:branch`.
    label: Option<String>,
    sha: Option<String>,
    /// `None` if the fork is gone.
    repo: Option<Repo>,
}

#[derive(Deserialize)]
struct Repo {
    id: Option<u64>,
}

impl GitHub {
    async fn get_pull(&self, project: &ProjectPath, number: u64) -> Result<PullRequest, ForgeError> {
        let number = number.to_string();
        let path = wire::repo_path(project, &["pulls", &number]);
        Ok(self.convert(self.client.get::<Pull>(&path).await?, project))
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
        let convert = |pull: Pull| pull.is_from(branch).then(|| self.convert(pull, project));
        let mut found = self.client.list(&wire::repo_path(project, &["pulls"]), &query, convert).await?;
        // Lists do not tell whether a pull request can be merged.
        for pull in found.iter_mut().filter(|pull| pull.state.is_open()) {
            *pull = self.get_pull(project, pull.number).await?;
        }
        Ok(found)
    }

    fn convert(&self, pull: Pull, project: &ProjectPath) -> PullRequest {
        let merge = match (pull.mergeable, pull.mergeable_state.as_deref()) {
            // `unknown`: the server is checking again, and `mergeable` is the result of the previous check.
            (_, Some("unknown")) | (None, _) => MergeCheck::Unknown,
            (Some(true), _) => MergeCheck::Mergeable,
            (Some(false), _) => MergeCheck::Conflict,
        };
        let draft = pull.draft == Some(true);
        let facts = Facts {
            // Lists contain only the time of the merge.
            merged: pull.merged == Some(true) || wire::time(pull.merged_at.as_deref()).is_some(),
            closed: pull.state.as_deref() == Some("closed"),
            draft,
            merge,
        };
        let head = pull.head.unwrap_or_default();
        PullRequest {
            number: pull.number,
            url: GITHUB.pull_request_url(&self.server, project, pull.number, pull.html_url),
            title: pull.title.unwrap_or_default(),
            state: facts.state(),
            draft,
            merge,
            head_branch: head.name.unwrap_or_default(),
            head_sha: head.sha.unwrap_or_default(),
            base_branch: pull.base.and_then(|base| base.name).unwrap_or_default(),
            updated: wire::time(pull.updated_at.as_deref()),
        }
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
            let path = wire::repo_path(project, &["issues", &number]);
            self.client.get::<RepoIssue>(&path).await.map(Issue::from)
        })
    }

    fn pull_request<'a>(&'a self, project: &'a ProjectPath, number: u64) -> BoxFuture<'a, PullRequest> {
        Box::pin(self.get_pull(project, number))
    }

    fn find_pull_requests<'a>(&'a self, project: &'a ProjectPath, branch: &'a str) -> BoxFuture<'a, Vec<PullRequest>> {
        Box::pin(self.find(project, branch))
    }
}

impl Branch {
    fn owner(&self) -> Option<&str> {
        Some(self.label.as_deref()?.split_once(':')?.0)
    }
}

impl Pull {
    /// Whether the head is this branch of the project itself.
    fn is_from(&self, branch: &str) -> bool {
        let (Some(head), Some(base)) = (&self.head, &self.base) else { return false };
        let same_repository = match (&head.repo, &base.repo) {
            (Some(head), Some(base)) => head.id.is_some() && head.id == base.id,
            // Responses without any repository, as an emulator sends them, still name the owners.
            (None, None) => head.owner().is_some() && head.owner() == base.owner(),
            _ => false,
        };
        head.name.as_deref() == Some(branch) && same_repository
    }
}

/// An Enterprise Server reports its version, perhaps only to those who sign in, and has headers of its own.
async fn probe(prober: &Prober) -> Result<Option<Identity>, ForgeError> {
    let response = prober.get("api/v3/meta").await?;
    let version = response
        .field("installed_version")
        .or_else(|| response.header("x-github-enterprise-version").map(str::to_owned));
    let is_github = version.is_some() || response.header("x-github-request-id").is_some();
    Ok(is_github.then_some(Identity { kind: ForgeKind::GitHub, version }))
}
