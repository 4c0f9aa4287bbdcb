//! Labels, which older versions know by their IDs only.

use kugetsu_domain::reference::ProjectPath;
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::api::Gitea;
use crate::error::ForgeError;
use crate::forge::Subject;
use crate::http::paging::PER_PAGE;
use crate::kinds::wire;

/// The color of a label that is created.
const COLOR: &str = "#6f42c1";

#[derive(Deserialize)]
struct Label {
    id: u64,
    name: Option<String>,
}

impl Gitea {
    pub(super) async fn list_labels(&self, project: &ProjectPath) -> Result<Vec<String>, ForgeError> {
        Ok(self.known_labels(project).await?.into_iter().filter_map(|label| label.name).collect())
    }

    pub(super) async fn change_labels(
        &self,
        project: &ProjectPath,
        subject: Subject,
        add: &[String],
        remove: &[String],
    ) -> Result<(), ForgeError> {
        let known = self.known_labels(project).await?;
        let find = |name: &String| known.iter().find(|label| label.name.as_ref() == Some(name)).map(|label| label.id);
        let number = subject.number().to_string();
        if !add.is_empty() {
            let mut ids = Vec::new();
            for name in add {
                ids.push(match find(name) {
                    Some(id) => id,
                    None => self.create_label(project, name).await?,
                });
            }
            let path = wire::repo_path(project, &["issues", &number, "labels"]);
            self.client.change_only(Method::POST, &path, Some(json!({ "labels": ids }))).await?;
        }
        for id in remove.iter().filter_map(find) {
            let id = id.to_string();
            let path = wire::repo_path(project, &["issues", &number, "labels", &id]);
            let removed = self.client.change_only(Method::DELETE, &path, None).await;
            wire::unless_gone(removed, |_| false)?;
        }
        Ok(())
    }

    /// Those of the project and, if it belongs to an organization, of that.
    async fn known_labels(&self, project: &ProjectPath) -> Result<Vec<Label>, ForgeError> {
        let limit = PER_PAGE.to_string();
        let query = [("limit", limit.as_str())];
        let own = self.client.list(&wire::repo_path(project, &["labels"]), &query, Some::<Label>).await?;
        let owner = project.as_str().split('/').next().unwrap_or_default();
        match self.client.list(&["orgs", owner, "labels"], &query, Some::<Label>).await {
            Ok(shared) => Ok(own.into_iter().chain(shared).collect()),
            // The owner is a user, or the token may not read organizations.
            Err(ForgeError::NotFound { .. } | ForgeError::Forbidden { .. }) => Ok(own),
            Err(error) => Err(error),
        }
    }

    async fn create_label(&self, project: &ProjectPath, name: &str) -> Result<u64, ForgeError> {
        let body = json!({ "name": name, "color": COLOR });
        let label: Label = self.client.change(Method::POST, &wire::repo_path(project, &["labels"]), body).await?;
        Ok(label.id)
    }
}
