//! Merging pull requests: now, when the server's conditions are met (auto-merge), or in a merge queue.
//!
//! The REST API has only the first of them. The queue's fields of the GraphQL API exist since Enterprise Server 3.12.

use kugetsu_domain::reference::ProjectPath;
use reqwest::Method;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::api::GitHub;
use crate::error::ForgeError;
use crate::http::paging::PER_PAGE;
use crate::kinds::wire;
use crate::pull_request::Merge;

/// Looks at a scheduled merge while it is canceled. Auto-merge may move it into the queue in the meantime, a mutation that is refused
/// may have been carried out, and the last look sees that nothing is left.
const LOOKS_MAX: usize = 4;

/// A rule of a branch.
#[derive(Deserialize)]
struct Rule {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Data<T> {
    repository: T,
}

#[derive(Deserialize)]
struct WithQueue {
    #[serde(rename = "mergeQueue", deserialize_with = "Option::deserialize")]
    queue: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct WithPull {
    #[serde(rename = "pullRequest")]
    pull: MergeState,
}

/// The scheduled merge of a pull request. An absent field is an error; only null means that there is nothing.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MergeState {
    id: String,
    head_ref_oid: String,
    /// Whether the base has a queue.
    is_merge_queue_enabled: bool,
    is_in_merge_queue: bool,
    #[serde(deserialize_with = "Option::deserialize")]
    auto_merge_request: Option<IgnoredAny>,
}

impl MergeState {
    fn is_scheduled(&self) -> bool {
        self.is_in_merge_queue || self.auto_merge_request.is_some()
    }
}

impl GitHub {
    pub(super) async fn merge_pull(&self, project: &ProjectPath, number: u64, merge: &Merge) -> Result<(), ForgeError> {
        if merge.when_ready {
            return self.schedule(project, number, merge).await;
        }
        let number = number.to_string();
        let path = wire::repo_path(project, &["pulls", &number, "merge"]);
        let body = json!({ "sha": merge.head_sha, "merge_method": merge.method.name() });
        self.client.change_only(Method::PUT, &path, Some(body)).await
    }

    /// Queues are configured in rulesets, which any token may read, or in the older branch protection, which only GraphQL shows.
    pub(super) async fn has_queue(&self, project: &ProjectPath, branch: &str) -> Result<bool, ForgeError> {
        let per_page = PER_PAGE.to_string();
        let path = wire::repo_path(project, &["rules", "branches", branch]);
        let is_queue = |rule: Rule| (rule.kind == "merge_queue").then_some(());
        match self.client.list(&path, &[("per_page", &per_page)], is_queue).await {
            Ok(rules) if !rules.is_empty() => return Ok(true),
            Ok(_) => {}
            // The version, or the plan of the owner, has no rulesets.
            Err(ForgeError::NotFound { authenticated: true, .. }) => {}
            Err(ForgeError::Forbidden { message, .. }) if message.starts_with("Upgrade to") => {}
            Err(error) => return Err(error),
        }
        const QUERY: &str = "query($owner: String!, $name: String!, $branch: String!) { \
            repository(owner: $owner, name: $name) { mergeQueue(branch: $branch) { id } } }";
        let (owner, name) = wire::owner_and_name(project);
        let variables = json!({ "owner": owner, "name": name, "branch": branch });
        match self.client.graphql::<Data<WithQueue>>(QUERY, variables).await {
            Ok(found) => Ok(found.repository.queue.is_some()),
            // A program that is like GitHub may have no GraphQL API.
            Err(ForgeError::NotFound { .. }) => Ok(false),
            // The version has no queues.
            Err(ForgeError::Refused { message, .. }) if message.contains("doesn't exist on type") => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn is_scheduled(&self, project: &ProjectPath, number: u64) -> Result<bool, ForgeError> {
        self.merge_state(project, number).await.map(|pull| pull.is_scheduled())
    }

    async fn merge_state(&self, project: &ProjectPath, number: u64) -> Result<MergeState, ForgeError> {
        const QUERY: &str = "query($owner: String!, $name: String!, $number: Int!) { \
            repository(owner: $owner, name: $name) { pullRequest(number: $number) { \
            id headRefOid isMergeQueueEnabled isInMergeQueue autoMergeRequest { enabledAt } } } }";
        let (owner, name) = wire::owner_and_name(project);
        let variables = json!({ "owner": owner, "name": name, "number": number });
        let found: Data<WithPull> = self.client.graphql(QUERY, variables).await?;
        Ok(found.repository.pull)
    }

    /// A queue takes a pull request that is ready. Auto-merge takes one that is not, adds it to the queue when it is ready, and is
    /// refused if the repository does not allow it.
    async fn schedule(&self, project: &ProjectPath, number: u64, merge: &Merge) -> Result<(), ForgeError> {
        let pull = self.merge_state(project, number).await?;
        let is_same = pull.head_ref_oid == merge.head_sha;
        if is_same && (pull.is_in_merge_queue || pull.is_scheduled() && !pull.is_merge_queue_enabled) {
            return Ok(());
        }
        if !pull.is_merge_queue_enabled {
            return self.enable_auto_merge(&pull, merge).await;
        }
        // Also if auto-merge is enabled: it does not always notice that a pull request has become ready.
        let not_ready = match self.enqueue(&pull, merge).await {
            Err(refusal @ ForgeError::Refused { .. }) => refusal,
            result => return result,
        };
        if is_same && pull.is_scheduled() {
            return Ok(());
        }
        match self.enable_auto_merge(&pull, merge).await {
            // The queue's reason is the one to show: it names the condition that is not met.
            Err(ForgeError::Refused { .. }) => Err(not_ready),
            result => result,
        }
    }

    async fn enqueue(&self, pull: &MergeState, merge: &Merge) -> Result<(), ForgeError> {
        const QUERY: &str = "mutation($id: ID!, $head: GitObjectID!) { \
            enqueuePullRequest(input: {pullRequestId: $id, expectedHeadOid: $head}) { clientMutationId } }";
        let variables = json!({ "id": pull.id, "head": merge.head_sha });
        self.client.graphql::<IgnoredAny>(QUERY, variables).await.map(drop)
    }

    async fn enable_auto_merge(&self, pull: &MergeState, merge: &Merge) -> Result<(), ForgeError> {
        // The queue sets the method.
        let (declared, input) = match pull.is_merge_queue_enabled {
            true => ("", ""),
            false => (", $method: PullRequestMergeMethod!", ", mergeMethod: $method"),
        };
        let query = format!(
            "mutation($id: ID!, $head: GitObjectID!{declared}) {{ enablePullRequestAutoMerge(\
             input: {{pullRequestId: $id, expectedHeadOid: $head{input}}}) {{ clientMutationId }} }}"
        );
        let mut variables = json!({ "id": pull.id, "head": merge.head_sha });
        if !pull.is_merge_queue_enabled {
            variables["method"] = merge.method.name().to_uppercase().into();
        }
        self.client.graphql::<IgnoredAny>(&query, variables).await.map(drop)
    }

    pub(super) async fn unschedule(&self, project: &ProjectPath, number: u64) -> Result<(), ForgeError> {
        const DISABLE: &str = "mutation($id: ID!) { \
            disablePullRequestAutoMerge(input: {pullRequestId: $id}) { clientMutationId } }";
        const DEQUEUE: &str = "mutation($id: ID!) { dequeuePullRequest(input: {id: $id}) { clientMutationId } }";
        let mut refusal = None;
        for _ in 0..LOOKS_MAX {
            let pull = self.merge_state(project, number).await?;
            if !pull.is_scheduled() {
                return Ok(());
            }
            // First auto-merge, which would add it to the queue again.
            let query = if pull.auto_merge_request.is_some() { DISABLE } else { DEQUEUE };
            match self.client.graphql::<IgnoredAny>(query, json!({ "id": pull.id })).await {
                Ok(_) => refusal = None,
                Err(error @ ForgeError::Refused { .. }) => refusal = Some(error),
                Err(error) => return Err(error),
            }
        }
        let still = || self.client.unexpected(&Method::POST, &["graphql"], "the merge is still scheduled");
        Err(refusal.unwrap_or_else(still))
    }
}
