//! Pull requests: reading, opening, changing and merging them.

use kugetsu_domain::reference::ProjectPath;
use reqwest::Method;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::api::{GITHUB, GitHub};
use crate::error::ForgeError;
use crate::http::paging::PER_PAGE;
use crate::kinds::wire::{self, User};
use crate::pull_request::{Facts, MergeCheck, NewPullRequest, PullRequest, PullRequestEdit};

#[derive(Deserialize)]
struct Pull {
    number: u64,
    node_id: Option<String>,
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

/// A branch, as Git knows it.
#[derive(Deserialize)]
struct Reference {
    object: Tip,
}

#[derive(Deserialize)]
struct Tip {
    sha: String,
}

impl GitHub {
    pub(super) async fn get_pull(&self, project: &ProjectPath, number: u64) -> Result<PullRequest, ForgeError> {
        Ok(self.convert(self.pull(project, number).await?, project))
    }

    async fn pull(&self, project: &ProjectPath, number: u64) -> Result<Pull, ForgeError> {
        self.client.get(&wire::repo_path(project, &["pulls", &number.to_string()])).await
    }

    pub(super) async fn find_pulls(&self, project: &ProjectPath, branch: &str) -> Result<Vec<PullRequest>, ForgeError> {
        let (owner, _) = wire::owner_and_name(project);
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
        let mut found = self.client.list_first(&wire::repo_path(project, &["pulls"]), &query, convert).await?.entries;
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
            body: pull.body.unwrap_or_default(),
            author: wire::login(pull.user),
            state: facts.state(),
            draft,
            merge,
            head_branch: head.name.unwrap_or_default(),
            head_sha: head.sha.unwrap_or_default(),
            base_branch: pull.base.and_then(|base| base.name).unwrap_or_default(),
            // Before the merge it is a test merge of the server's own.
            merge_commit: pull.merge_commit_sha.filter(|_| facts.merged),
            updated: wire::time(pull.updated_at.as_deref()),
        }
    }

    pub(super) async fn open_pull(
        &self,
        project: &ProjectPath,
        new: &NewPullRequest,
    ) -> Result<PullRequest, ForgeError> {
        let body = json!({
            "title": new.title, "body": new.body, "head": new.head, "base": new.base, "draft": new.draft,
        });
        let pull = self.client.change(Method::POST, &wire::repo_path(project, &["pulls"]), body).await?;
        Ok(self.convert(pull, project))
    }

    pub(super) async fn edit_pull(
        &self,
        project: &ProjectPath,
        number: u64,
        edit: &PullRequestEdit,
    ) -> Result<(), ForgeError> {
        let mut body = serde_json::Map::new();
        for (name, value) in [("title", &edit.title), ("body", &edit.body)] {
            if let Some(value) = value {
                body.insert(name.to_owned(), value.clone().into());
            }
        }
        if edit.close {
            body.insert("state".to_owned(), "closed".into());
        }
        if !body.is_empty() {
            let number = number.to_string();
            let path = wire::repo_path(project, &["pulls", &number]);
            self.client.change_only(Method::PATCH, &path, Some(body.into())).await?;
        }
        match edit.draft {
            Some(draft) => self.set_draft(project, number, draft).await,
            None => Ok(()),
        }
    }

    /// The REST API cannot change whether a pull request is a draft.
    async fn set_draft(&self, project: &ProjectPath, number: u64, draft: bool) -> Result<(), ForgeError> {
        let pull = self.pull(project, number).await?;
        if pull.draft == Some(draft) {
            return Ok(());
        }
        let mutation = if draft { "convertPullRequestToDraft" } else { "markPullRequestReadyForReview" };
        let query =
            format!("mutation($id: ID!) {{ {mutation}(input: {{pullRequestId: $id}}) {{ clientMutationId }} }}");
        self.client.graphql::<IgnoredAny>(&query, json!({ "id": pull.node_id })).await.map(drop)
    }

    pub(super) async fn find_branch(&self, project: &ProjectPath, branch: &str) -> Result<Option<String>, ForgeError> {
        let path: Vec<&str> = ["git", "ref", "heads"].into_iter().chain(branch.split('/')).collect();
        let found = self.client.get::<Reference>(&wire::repo_path(project, &path)).await;
        Ok(wire::unless_missing(found)?.map(|found| found.object.sha))
    }

    pub(super) async fn remove_branch(&self, project: &ProjectPath, branch: &str) -> Result<(), ForgeError> {
        let path: Vec<&str> = ["git", "refs", "heads"].into_iter().chain(branch.split('/')).collect();
        let deleted = self.client.change_only(Method::DELETE, &wire::repo_path(project, &path), None).await;
        wire::unless_gone(deleted, |message| message.contains("Reference does not exist"))
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
