//! Webhooks of a project.

use kugetsu_domain::reference::ProjectPath;
use reqwest::Method;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::json;

use super::api::GitLab;
use crate::error::ForgeError;
use crate::forge::{Hook, NewHook};
use crate::http::paging::PER_PAGE;

#[derive(Deserialize)]
struct HookBody {
    id: u64,
    url: Option<String>,
    /// Set while the server has turned it off after failures.
    disabled_until: Option<String>,
}

impl GitLab {
    pub(super) async fn list_hooks(&self, project: &ProjectPath) -> Result<Vec<Hook>, ForgeError> {
        let per_page = PER_PAGE.to_string();
        let path = ["projects", project.as_str(), "hooks"];
        self.client.list(&path, &[("per_page", &per_page)], |hook: HookBody| Some(hook.into())).await
    }

    pub(super) async fn add_hook(&self, project: &ProjectPath, hook: &NewHook) -> Result<Hook, ForgeError> {
        let body = json!({
            "url": hook.url, "token": hook.secret.expose_secret(), "issues_events": true, "note_events": true,
            "merge_requests_events": true, "pipeline_events": true, "push_events": true,
        });
        let path = ["projects", project.as_str(), "hooks"];
        self.client.change::<HookBody>(Method::POST, &path, body).await.map(Hook::from)
    }
}

impl From<HookBody> for Hook {
    fn from(hook: HookBody) -> Self {
        Self { id: hook.id, url: hook.url.unwrap_or_default(), is_active: hook.disabled_until.is_none() }
    }
}
