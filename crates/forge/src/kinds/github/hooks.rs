//! Webhooks of a repository.

use kugetsu_domain::reference::ProjectPath;
use reqwest::Method;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::json;

use super::api::GitHub;
use crate::error::ForgeError;
use crate::forge::{Hook, NewHook};
use crate::kinds::wire;

/// The events that are reported. `status` and `check_suite` come when something ended, `check_run` for each job.
const EVENTS: &[&str] = &[
    "issues",
    "issue_comment",
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
    "push",
    "status",
    "check_suite",
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

impl GitHub {
    pub(super) async fn list_hooks(&self, project: &ProjectPath) -> Result<Vec<Hook>, ForgeError> {
        let hook = |hook: HookBody| Some(hook.into());
        self.client.list(&wire::repo_path(project, &["hooks"]), &[], hook).await
    }

    pub(super) async fn add_hook(&self, project: &ProjectPath, hook: &NewHook) -> Result<Hook, ForgeError> {
        let config = json!({ "url": hook.url, "content_type": "json", "secret": hook.secret.expose_secret() });
        let body = json!({ "name": "web", "active": true, "events": EVENTS, "config": config });
        self.client.change::<HookBody>(Method::POST, &wire::repo_path(project, &["hooks"]), body).await.map(Hook::from)
    }
}

impl From<HookBody> for Hook {
    fn from(hook: HookBody) -> Self {
        let url = hook.config.and_then(|config| config.url).unwrap_or_default();
        Self { id: hook.id, url, is_active: hook.active != Some(false) }
    }
}
