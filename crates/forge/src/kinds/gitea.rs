//! Gitea and its descendant Forgejo. Responses are read so that they fit both, and their older versions too.

use std::sync::Arc;
use std::time::Duration;

use kugetsu_domain::reference::{ForgeKind, ProjectPath, ServerBase};
use kugetsu_domain::secret_forms::TokenUser;
use serde::Deserialize;

use super::dialect::{ApiPaths, Dialect, Pages, PublicServer};
use super::probe::{Identity, Prober};
use super::wire::{self, Me, RepoIssue};
use crate::error::ForgeError;
use crate::forge::{BoxFuture, Forge, Issue, Version};
use crate::http::client::{Client, Dated, HttpDialect};
use crate::http::paging::{PER_PAGE, Paging};
use crate::pull_request::{Facts, MergeCheck, PullRequest};

pub(super) static GITEA: Dialect = SHARED;

pub(super) static FORGEJO: Dialect = Dialect {
    kind: ForgeKind::Forgejo,
    public: &[PublicServer { base: "https://codeberg.org", api: None, ssh_host: None }],
    connect: |server, client| Arc::new(Gitea { kind: ForgeKind::Forgejo, server, client }),
    probe: None,
    ..SHARED
};

const SHARED: Dialect = Dialect {
    kind: ForgeKind::Gitea,
    pull_request_name: "pull request",
    public: &[],
    token_variable: "GITEA_TOKEN",
    // Any name would do.
    git_user: TokenUser::Oauth2,
    pages: Pages {
        nested_projects: false,
        separator: None,
        issue_words: &["issues"],
        pull_request_words: &["pulls", "pull"],
        comment_anchors: &["issuecomment-"],
        pull_request_sign: None,
        shared_numbers: true,
    },
    api: ApiPaths { root: "api/v1", projects: "repos", project_in_one_segment: false },
    http: HttpDialect {
        token_header: "authorization",
        // Older versions accept `Bearer` for OAuth only.
        token_prefix: "token ",
        accept: "application/json",
        version: None,
        paging: Paging::LinkOrCount,
    },
    connect: |server, client| Arc::new(Gitea { kind: ForgeKind::Gitea, server, client }),
    probe: Some(|prober| Box::pin(probe(prober))),
};

/// Prefixes of titles that mark a draft, on versions without the field `draft`.
const DRAFT_PREFIXES: &[&str] = &["WIP:", "[WIP]"];

/// Time without an update after which `mergeable: false` can be believed.
const SETTLED: Duration = Duration::from_secs(60);

/// Gitea's API, which Forgejo has too.
#[derive(Debug)]
struct Gitea {
    kind: ForgeKind,
    server: ServerBase,
    client: Client,
}

#[derive(Deserialize)]
struct VersionBody {
    version: Option<String>,
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
    head: Option<Branch>,
    base: Option<Branch>,
    updated_at: Option<String>,
}

/// Head or base of a pull request.
#[derive(Default, Deserialize)]
struct Branch {
    /// The branch, or `refs/pull/12/head` if it is deleted.
    #[serde(rename = "ref")]
    reference: Option<String>,
    /// The branch, even if it is deleted, with `owner:` before it in a fork.
    label: Option<String>,
    sha: Option<String>,
    repo_id: Option<i64>,
}

impl Gitea {
    async fn get_pull(&self, project: &ProjectPath, number: u64) -> Result<PullRequest, ForgeError> {
        let get = || async {
            let number = number.to_string();
            self.client.get_dated::<Pull>(&wire::repo_path(project, &["pulls", &number])).await
        };
        let first = get().await?;
        if !may_conflict(&first) {
            return Ok(self.convert(first.value, MergeCheck::Unknown, project));
        }
        // `mergeable: false` means "conflicts" as well as "not checked yet", and a push to the base has every pull request
        // checked again. If it is still false a moment later, it was checked.
        tokio::time::sleep(self.client.limits().conflict_recheck).await;
        let second = get().await?;
        let merge = if may_conflict(&second) { MergeCheck::Conflict } else { MergeCheck::Unknown };
        Ok(self.convert(second.value, merge, project))
    }

    async fn find(&self, project: &ProjectPath, branch: &str) -> Result<Vec<PullRequest>, ForgeError> {
        let limit = PER_PAGE.to_string();
        // Older versions ignore `head` and list everything.
        let query = [("head", branch), ("state", "all"), ("sort", "recentupdate"), ("limit", limit.as_str())];
        let convert = |pull: Pull| pull.is_from(branch).then(|| self.convert(pull, MergeCheck::Unknown, project));
        let mut found = self.client.list(&wire::repo_path(project, &["pulls"]), &query, convert).await?;
        for pull in found.iter_mut().filter(|pull| pull.state.is_open()) {
            *pull = self.get_pull(project, pull.number).await?;
        }
        Ok(found)
    }

    /// `not_mergeable` is the meaning of `mergeable: false`.
    fn convert(&self, pull: Pull, not_mergeable: MergeCheck, project: &ProjectPath) -> PullRequest {
        let merge = match pull.mergeable {
            Some(true) => MergeCheck::Mergeable,
            Some(false) => not_mergeable,
            None => MergeCheck::Unknown,
        };
        let draft = pull.is_draft();
        let facts = Facts { merged: pull.is_merged(), closed: pull.is_closed(), draft, merge };
        let head = pull.head.unwrap_or_default();
        PullRequest {
            number: pull.number,
            url: SHARED.pull_request_url(&self.server, project, pull.number, pull.html_url),
            title: pull.title.unwrap_or_default(),
            state: facts.state(),
            draft,
            merge,
            head_branch: head.name().to_owned(),
            head_sha: head.sha.unwrap_or_default(),
            base_branch: pull.base.map(|base| base.name().to_owned()).unwrap_or_default(),
            updated: wire::time(pull.updated_at.as_deref()),
        }
    }
}

impl Forge for Gitea {
    fn server(&self) -> &ServerBase {
        &self.server
    }

    fn kind(&self) -> ForgeKind {
        self.kind
    }

    fn whoami(&self) -> BoxFuture<'_, String> {
        Box::pin(async { self.client.get(&["user"]).await.map(|me: Me| me.login) })
    }

    fn version(&self) -> BoxFuture<'_, Version> {
        Box::pin(async {
            let body: VersionBody = self.client.get(&["version"]).await?;
            let kind = body.version.as_deref().map_or(self.kind, kind_of);
            Ok(Version { kind, text: body.version })
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

/// The kind that a version belongs to: Forgejo's names the Gitea that it is compatible with.
fn kind_of(version: &str) -> ForgeKind {
    if version.contains("+gitea-") { ForgeKind::Forgejo } else { ForgeKind::Gitea }
}

/// Whether an open pull request without recent updates is reported as not mergeable. Drafts always are, so they do not
/// count.
fn may_conflict(response: &Dated<Pull>) -> bool {
    let pull = &response.value;
    let is_settled = wire::time(pull.updated_at.as_deref()).is_none_or(|updated| {
        response.now.duration_since(updated) >= jiff::SignedDuration::from_secs(SETTLED.as_secs().cast_signed())
    });
    pull.mergeable == Some(false) && is_settled && !pull.is_draft() && !pull.is_merged() && !pull.is_closed()
}

impl Branch {
    fn name(&self) -> &str {
        match self.reference.as_deref() {
            Some(branch) if !branch.starts_with("refs/pull/") => branch,
            // A branch name cannot contain a colon.
            _ => self.label.as_deref().unwrap_or_default().rsplit(':').next().unwrap_or_default(),
        }
    }
}

impl Pull {
    fn is_draft(&self) -> bool {
        self.draft == Some(true) || wire::has_prefix(self.title.as_deref().unwrap_or_default(), DRAFT_PREFIXES)
    }

    fn is_merged(&self) -> bool {
        self.merged == Some(true) || wire::time(self.merged_at.as_deref()).is_some()
    }

    fn is_closed(&self) -> bool {
        self.state.as_deref() == Some("closed")
    }

    /// Whether the head is this branch of the project itself.
    fn is_from(&self, branch: &str) -> bool {
        let id = |branch: &Option<Branch>| branch.as_ref()?.repo_id.filter(|id| *id > 0);
        let is_head = self.head.as_ref().is_some_and(|head| head.name() == branch);
        is_head && id(&self.head).is_some() && id(&self.head) == id(&self.base)
    }
}

/// Recognizes Gitea and Forgejo by their version. A server that requires a login hides the version, but refuses with a
/// message and a cookie of its own.
async fn probe(prober: &Prober) -> Result<Option<Identity>, ForgeError> {
    let response = prober.get("api/v1/version").await?;
    if matches!(response.status(), 200..=299) {
        // Other programs with this path return more than a version.
        let is_only_field =
            response.json().is_some_and(|json| json.as_object().is_some_and(|fields| fields.len() == 1));
        let version = response.field("version").filter(|_| is_only_field);
        return Ok(version.map(|version| Identity { kind: kind_of(&version), version: Some(version) }));
    }
    if !matches!(response.status(), 401 | 403) {
        return Ok(None);
    }
    // Gitea answers this path with 404 even if it requires a login.
    let forgejo = prober.get("api/forgejo/v1/version").await?;
    let version = forgejo.field("version");
    let is_forgejo = match forgejo.status() {
        200 => version.is_some(),
        401 | 403 => forgejo.json().is_some(),
        _ => false,
    };
    if is_forgejo {
        return Ok(Some(Identity { kind: ForgeKind::Forgejo, version }));
    }
    let message = response.field("message").unwrap_or_default();
    let is_gitea = message.contains("signed in user")
        || message.contains("token is required")
        || response.sets_cookie("i_like_gitea")
        || prober.get("").await?.sets_cookie("i_like_gitea");
    Ok(is_gitea.then_some(Identity { kind: ForgeKind::Gitea, version: None }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgejo_is_distinguished_from_gitea_by_its_version() {
        assert_eq!(kind_of("17.0.0-dev+gitea-1.22.0"), ForgeKind::Forgejo);
        assert_eq!(kind_of("1.24.2"), ForgeKind::Gitea);
        assert_eq!(kind_of("1.25.0+dev-12-gabcdef"), ForgeKind::Gitea);
    }

    #[test]
    fn the_name_of_a_deleted_branch_is_known() {
        let name = |reference: Option<&str>, label: &str| {
            Branch { reference: reference.map(str::to_owned), label: Some(label.to_owned()), ..Branch::default() }
                .name()
                .to_owned()
        };
        assert_eq!(name(Some("a/b"), "a/b"), "a/b");
        assert_eq!(name(Some("refs/pull/12/head"), "a/b"), "a/b");
        assert_eq!(name(Some("refs/pull/12/head"), "kim:a/b"), "a/b");
        assert_eq!(name(None, "a"), "a");
    }
}
