//! Gitea and its descendant Forgejo. Where they differ, or differ from their own older versions, the answer is read so
//! that it fits all of them.

use std::time::Duration;

use kugetsu_domain::reference::{ForgeKind, ProjectPath, ServerBase};
use reqwest::header::AUTHORIZATION;
use serde::Deserialize;

use super::error::ForgeError;
use super::forge::{BoxFuture, Forge, Version};
use super::github_like::{IssueAnswer, at};
use super::http::base_url::BaseUrl;
use super::http::client::{Client, Dated, HttpDialect};
use super::http::credentials::Credentials;
use super::http::paging::{PER_PAGE, Paging};
use super::http::transport::Transport;
use super::issue::Issue;
use super::pull_request::{Facts, MergeCheck, PullRequest};
use super::wire::{self, Me};

/// What a title begins with that marks a change as not ready; the field `draft` came later.
const DRAFT_WORDS: &[&str] = &["WIP:", "[WIP]"];

/// How long a change must have been left alone before "cannot be merged" is believed.
const SETTLED: Duration = Duration::from_secs(60);

/// A server with Gitea's API.
#[derive(Debug)]
pub(super) struct Gitea {
    kind: ForgeKind,
    server: ServerBase,
    client: Client,
}

#[derive(Deserialize)]
struct VersionAnswer {
    version: Option<String>,
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
    head: Option<End>,
    base: Option<End>,
    updated_at: Option<String>,
}

/// One end of a pull request.
#[derive(Default, Deserialize)]
struct End {
    /// The branch, or `refs/pull/12/head` when it is gone.
    #[serde(rename = "ref")]
    reference: Option<String>,
    /// The branch, also when it is gone; behind its owner if it is a fork's.
    label: Option<String>,
    sha: Option<String>,
    repo_id: Option<i64>,
}

impl Gitea {
    pub(super) fn new(
        kind: ForgeKind,
        server: ServerBase,
        transport: &Transport,
        base_url: BaseUrl,
        credentials: Credentials,
    ) -> Self {
        let dialect = HttpDialect {
            // Older versions take `Bearer` for OAuth only.
            token: (AUTHORIZATION, "token "),
            accept: "application/json",
            version: None,
            paging: Paging::Count,
        };
        Self { kind, server, client: Client::new(transport, base_url, credentials, dialect) }
    }

    async fn pull(&self, project: &ProjectPath, number: u64) -> Result<PullRequest, ForgeError> {
        let look = || async {
            let number = number.to_string();
            self.client.get_dated::<PullAnswer>(&at(project, &["pulls", &number])).await
        };
        let first = look().await?;
        if !is_refused(&first) {
            return Ok(self.told(first.value, MergeCheck::Unknown, project));
        }
        // The API has one word for "in conflict" and for "not looked at yet", and a push to the base has all changes
        // looked at anew. What is still refused a moment later was looked at.
        tokio::time::sleep(self.client.limits().second_look).await;
        let second = look().await?;
        let merge = if is_refused(&second) { MergeCheck::Conflict } else { MergeCheck::Unknown };
        Ok(self.told(second.value, merge, project))
    }

    fn told(&self, pull: PullAnswer, refused: MergeCheck, project: &ProjectPath) -> PullRequest {
        pull.pull_request(refused).on(self.kind, &self.server, project)
    }

    async fn find(&self, project: &ProjectPath, branch: &str) -> Result<Vec<PullRequest>, ForgeError> {
        let limit = PER_PAGE.to_string();
        // Old versions do not know `head` and answer with everything.
        let query = [("head", branch), ("state", "all"), ("sort", "recentupdate"), ("limit", limit.as_str())];
        let keep = |pull: PullAnswer| pull.is_from(branch).then(|| self.told(pull, MergeCheck::Unknown, project));
        let mut found = self.client.list(&at(project, &["pulls"]), &query, keep).await?;
        for pull in found.iter_mut().filter(|pull| pull.state.is_open()) {
            *pull = self.pull(project, pull.number).await?;
        }
        Ok(found)
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
            let answer: VersionAnswer = self.client.get(&["version"]).await?;
            let kind = answer.version.as_deref().map_or(self.kind, kind_of);
            Ok(Version { kind, text: answer.version })
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

/// Which of the two a version belongs to: Forgejo's names the Gitea that it is compatible with.
pub(super) fn kind_of(version: &str) -> ForgeKind {
    if version.contains("+gitea-") { ForgeKind::Forgejo } else { ForgeKind::Gitea }
}

/// Whether the server says of an open change, left alone for a while, that it cannot be merged, and not because it is a
/// draft: of drafts it always says so.
fn is_refused(told: &Dated<PullAnswer>) -> bool {
    let pull = &told.value;
    let settled = wire::time(pull.updated_at.as_deref()).is_none_or(|updated| {
        told.now.duration_since(updated) >= jiff::SignedDuration::from_secs(SETTLED.as_secs().cast_signed())
    });
    pull.mergeable == Some(false) && settled && !pull.is_draft() && !pull.is_merged() && !pull.is_closed()
}

impl End {
    fn branch(&self) -> &str {
        let label = || {
            let label = self.label.as_deref().unwrap_or_default();
            // No branch has a colon in its name.
            label.rsplit(':').next().unwrap_or_default()
        };
        match self.reference.as_deref() {
            Some(branch) if !branch.starts_with("refs/pull/") => branch,
            _ => label(),
        }
    }
}

impl PullAnswer {
    fn is_draft(&self) -> bool {
        self.draft == Some(true) || wire::marks_draft(self.title.as_deref().unwrap_or_default(), DRAFT_WORDS)
    }

    fn is_merged(&self) -> bool {
        self.merged == Some(true) || wire::time(self.merged_at.as_deref()).is_some()
    }

    fn is_closed(&self) -> bool {
        self.state.as_deref() == Some("closed")
    }

    /// Whether the head is this branch, and lies in the repository that the change is made to.
    fn is_from(&self, branch: &str) -> bool {
        let id = |end: &Option<End>| end.as_ref()?.repo_id.filter(|id| *id > 0);
        let head = self.head.as_ref().is_some_and(|head| head.branch() == branch);
        head && id(&self.head).is_some() && id(&self.head) == id(&self.base)
    }

    /// `refused` is what to make of "cannot be merged".
    fn pull_request(self, refused: MergeCheck) -> PullRequest {
        let merge = match self.mergeable {
            Some(true) => MergeCheck::Mergeable,
            Some(false) => refused,
            None => MergeCheck::Unknown,
        };
        let draft = self.is_draft();
        let facts = Facts { merged: self.is_merged(), closed: self.is_closed(), draft, merge };
        let head = self.head.unwrap_or_default();
        PullRequest {
            number: self.number,
            url: self.html_url.unwrap_or_default(),
            title: self.title.unwrap_or_default(),
            state: facts.state(),
            draft,
            merge,
            head_branch: head.branch().to_owned(),
            head_sha: head.sha.unwrap_or_default(),
            base_branch: self.base.map(|base| base.branch().to_owned()).unwrap_or_default(),
            updated: wire::time(self.updated_at.as_deref()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgejo_is_told_from_gitea_by_its_version() {
        assert_eq!(kind_of("17.0.0-dev+gitea-1.22.0"), ForgeKind::Forgejo);
        assert_eq!(kind_of("1.24.2"), ForgeKind::Gitea);
        assert_eq!(kind_of("1.25.0+dev-12-gabcdef"), ForgeKind::Gitea);
    }

    #[test]
    fn the_branch_is_found_when_it_is_gone() {
        let branch = |reference: Option<&str>, label: &str| {
            End { reference: reference.map(str::to_owned), label: Some(label.to_owned()), ..End::default() }
                .branch()
                .to_owned()
        };
        assert_eq!(branch(Some("a/b"), "a/b"), "a/b");
        assert_eq!(branch(Some("refs/pull/12/head"), "a/b"), "a/b");
        assert_eq!(branch(Some("refs/pull/12/head"), "kim:a/b"), "a/b");
        assert_eq!(branch(None, "a"), "a");
    }
}
