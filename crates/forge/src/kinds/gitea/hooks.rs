//! Webhooks of a repository.

use kugetsu_domain::reference::{ForgeKind, ProjectPath};
use reqwest::Method;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::json;

use super::api::Gitea;
use crate::error::ForgeError;
use crate::forge::{Hook, NewHook};
use crate::http::paging::PER_PAGE;
use crate::kinds::wire;

/// The events that are reported. A version ignores those that it does not know.
const EVENTS: &[&str] = &[
    "issues",
    "issue_assign",
    "issue_label",
    "issue_comment",
    "pull_request",
    "pull_request_sync",
    "pull_request_comment",
    "pull_request_review_approved",
    "pull_request_review_rejected",
    "pull_request_review_comment",
    "push",
    "status",
    "workflow_run",
];

#[derive(Deserialize)]
struct HookBody {
    id: u64,
    active: Option<bool>,
    config: Option<Config>,
}

#[derive(Deserialize)]
struct Config {
    url: Option<String>,
}

impl Gitea {
    pub(super) async fn list_hooks(&self, project: &ProjectPath) -> Result<Vec<Hook>, ForgeError> {
        let limit = PER_PAGE.to_string();
        let path = wire::repo_path(project, &["hooks"]);
        self.client.list(&path, &[("limit", &limit)], |hook: HookBody| Some(hook.into())).await
    }

    pub(super) async fn add_hook(&self, project: &ProjectPath, hook: &NewHook) -> Result<Hook, ForgeError> {
        let kind = if self.kind == ForgeKind::Forgejo { "forgejo" } else { "gitea" };
        let config = json!({ "url": hook.url, "content_type": "json", "secret": hook.secret.expose_secret() });
        let body = json!({ "type": kind, "active": true, "events": EVENTS, "config": config });
        self.client.change::<HookBody>(Method::POST, &wire::repo_path(project, &["hooks"]), body).await.map(Hook::from)
    }
}

impl From<HookBody> for Hook {
    fn from(hook: HookBody) -> Self {
        let url = hook.config.and_then(|config| config.url).unwrap_or_default();
        Self { id: hook.id, url, is_active: hook.active != Some(false) }
    }
}
