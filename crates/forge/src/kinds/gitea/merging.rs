//! Merging pull requests: now, or when the server's conditions are met.

use kugetsu_domain::reference::ProjectPath;
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::api::Gitea;
use crate::error::ForgeError;
use crate::kinds::wire;
use crate::pull_request::{Merge, MergeSchedule};

/// A comment or a change.
#[derive(Deserialize)]
struct Entry {
    id: u64,
    #[serde(rename = "type")]
    kind: String,
    created_at: Option<String>,
}

#[derive(Deserialize)]
struct Pull {
    head: Head,
}

#[derive(Deserialize)]
struct Head {
    sha: String,
}

impl Gitea {
    pub(super) async fn merge_pull(&self, project: &ProjectPath, number: u64, merge: &Merge) -> Result<(), ForgeError> {
        let number = number.to_string();
        let path = wire::repo_path(project, &["pulls", &number, "merge"]);
        let mut body = json!({ "Do": merge.method.name(), "head_commit_id": merge.head_sha });
        if !merge.when_ready {
            return self.client.change_only(Method::POST, &path, Some(body)).await;
        }
        // To schedule a merge, the server ignores `head_commit_id`.
        let pull: Pull = self.client.get(&wire::repo_path(project, &["pulls", &number])).await?;
        if pull.head.sha != merge.head_sha {
            return Err(self.client.refusal(&Method::POST, &path, "head out of date"));
        }
        body["merge_when_checks_succeed"] = true.into();
        match self.client.change_only(Method::POST, &path, Some(body)).await {
            Err(ForgeError::Refused { status: 409, message, .. }) if message.contains("already scheduled") => Ok(()),
            result => result,
        }
    }

    /// Only the timeline shows it. It does not show that the server has dropped a schedule because its own attempt to merge failed;
    /// such a pull request is reported as scheduled until it is scheduled and canceled again.
    pub(super) async fn schedule(&self, project: &ProjectPath, number: u64) -> Result<MergeSchedule, ForgeError> {
        let number = number.to_string();
        let path = wire::repo_path(project, &["issues", &number, "timeline"]);
        // Without a page, the server sends the whole timeline.
        let mut changes = self.client.list(&path, &[], Entry::change).await?;
        changes.sort_by_key(|(id, _)| *id);
        let (mut schedule, mut open) = (MergeSchedule::None, true);
        for (_, change) in changes {
            match change {
                Change::Schedule(now) => schedule = now,
                // A schedule survives that the pull request is closed, and a push.
                Change::Open(now) => open = now,
            }
        }
        Ok(if open { schedule } else { MergeSchedule::None })
    }

    pub(super) async fn unschedule(&self, project: &ProjectPath, number: u64) -> Result<(), ForgeError> {
        let number = number.to_string();
        let path = wire::repo_path(project, &["pulls", &number, "merge"]);
        wire::unless_gone(self.client.change_only(Method::DELETE, &path, None).await, |_| false)
    }
}

/// A change that decides whether a merge is scheduled, with the new state.
#[derive(Clone, Copy)]
enum Change {
    Schedule(MergeSchedule),
    Open(bool),
}

impl Entry {
    fn change(self) -> Option<(u64, Change)> {
        let change = match self.kind.as_str() {
            "pull_scheduled_merge" => {
                Change::Schedule(MergeSchedule::Pending { since: wire::time(self.created_at.as_deref()) })
            }
            "pull_cancel_scheduled_merge" | "merge_pull" => Change::Schedule(MergeSchedule::None),
            "close" => Change::Open(false),
            "reopen" => Change::Open(true),
            _ => return None,
        };
        Some((self.id, change))
    }
}
