//! Pull requests: reading, opening, changing and merging them.

use std::time::Duration;

use kugetsu_domain::reference::ProjectPath;
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::api::{Gitea, SHARED};
use crate::error::ForgeError;
use crate::http::client::Dated;
use crate::http::paging::PER_PAGE;
use crate::kinds::wire::{self, User};
use crate::pull_request::{Facts, MergeCheck, NewPullRequest, PullRequest, PullRequestEdit};

/// Prefixes of titles that mark a draft, on versions without the field `draft`.
const DRAFT_PREFIXES: &[&str] = &["WIP:", "[WIP]"];

/// Time without an update after which `mergeable: false` can be believed.
const SETTLED: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
struct Pull {
    number: u64,
    html_url: Option<String>,
    title: Option<String>,
    body: Option<String>,
    user: Option<User>,
    state: Option<String>,
    draft: Option<bool>,
    merged: Option<bool>,
    merged_at: Option<String>,
    merge_commit_sha: Option<String>,
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

#[derive(Deserialize)]
struct FoundBranch {
    commit: Tip,
}

#[derive(Deserialize)]
struct Tip {
    id: String,
}

#[derive(Deserialize)]
struct Commit {
    sha: String,
}

impl Gitea {
    pub(super) async fn get_pull(&self, project: &ProjectPath, number: u64) -> Result<PullRequest, ForgeError> {
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

    pub(super) async fn find_pulls(&self, project: &ProjectPath, branch: &str) -> Result<Vec<PullRequest>, ForgeError> {
        let limit = PER_PAGE.to_string();
        // Older versions ignore `head` and list everything.
        let query = [("head", branch), ("state", "all"), ("sort", "recentupdate"), ("limit", limit.as_str())];
        let convert = |pull: Pull| pull.is_from(branch).then(|| self.convert(pull, MergeCheck::Unknown, project));
        let mut found = self.client.list_first(&wire::repo_path(project, &["pulls"]), &query, convert).await?.entries;
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
            body: pull.body.unwrap_or_default(),
            author: wire::login(pull.user),
            state: facts.state(),
            draft,
            merge,
            head_branch: head.name().to_owned(),
            head_sha: head.sha.unwrap_or_default(),
            base_branch: pull.base.map(|base| base.name().to_owned()).unwrap_or_default(),
            merge_commit: pull.merge_commit_sha.filter(|_| facts.merged),
            updated: wire::time(pull.updated_at.as_deref()),
        }
    }

    pub(super) async fn open_pull(
        &self,
        project: &ProjectPath,
        new: &NewPullRequest,
    ) -> Result<PullRequest, ForgeError> {
        let title = titled(&new.title, new.draft);
        let body = json!({ "title": title, "body": new.body, "head": new.head, "base": new.base });
        let pull = self.client.change(Method::POST, &wire::repo_path(project, &["pulls"]), body).await?;
        Ok(self.convert(pull, MergeCheck::Unknown, project))
    }

    pub(super) async fn edit_pull(
        &self,
        project: &ProjectPath,
        number: u64,
        edit: &PullRequestEdit,
    ) -> Result<(), ForgeError> {
        let number = number.to_string();
        let path = wire::repo_path(project, &["pulls", &number]);
        let mut body = serde_json::Map::new();
        if edit.title.is_some() || edit.draft.is_some() {
            // Whether it is a draft is in the title.
            let pull: Pull = self.client.get(&path).await?;
            let draft = edit.draft.unwrap_or_else(|| pull.is_draft());
            let title = edit.title.clone().or(pull.title).unwrap_or_default();
            body.insert("title".to_owned(), titled(&title, draft).into());
        }
        if let Some(text) = &edit.body {
            body.insert("body".to_owned(), text.clone().into());
        }
        if edit.close {
            body.insert("state".to_owned(), "closed".into());
        }
        self.client.change_only(Method::PATCH, &path, Some(body.into())).await
    }

    pub(super) async fn find_branch(&self, project: &ProjectPath, branch: &str) -> Result<Option<String>, ForgeError> {
        let found = self.client.get::<FoundBranch>(&wire::repo_path(project, &["branches", branch])).await;
        Ok(wire::unless_missing(found)?.map(|found| found.commit.id))
    }

    /// The head of a merged pull request is that of the branch, also if the branch was moved since. Only the list of commits, the latest
    /// one first, is of the time of the merge.
    pub(super) async fn find_merged_head(&self, project: &ProjectPath, number: u64) -> Result<String, ForgeError> {
        let number = number.to_string();
        let path = wire::repo_path(project, &["pulls", &number, "commits"]);
        let commits = self.client.get_by::<Vec<Commit>>(&path, &[("limit", "1")]).await?;
        Ok(commits.into_iter().next().map(|commit| commit.sha).unwrap_or_default())
    }

    pub(super) async fn remove_branch(&self, project: &ProjectPath, branch: &str) -> Result<(), ForgeError> {
        let path = wire::repo_path(project, &["branches", branch]);
        wire::unless_gone(self.client.change_only(Method::DELETE, &path, None).await, |_| false)
    }
}

/// The title that marks a draft, or not.
fn titled(title: &str, draft: bool) -> String {
    let plain = wire::without_prefix(title, DRAFT_PREFIXES);
    if draft { format!("{} {plain}", DRAFT_PREFIXES[0]) } else { plain.to_owned() }
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

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn title_shows_whether_it_is_a_draft() {
        assert_eq!(titled("Fix it", true), "WIP: Fix it");
        assert_eq!(titled("wip: Fix it", true), "WIP: Fix it");
        assert_eq!(titled("[WIP] Fix it", false), "Fix it");
    }
}
