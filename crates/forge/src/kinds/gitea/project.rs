//! The project itself, the user of the token, and what users may do.

use kugetsu_domain::reference::ProjectPath;
use reqwest::Method;
use serde::Deserialize;

use super::api::Gitea;
use crate::error::ForgeError;
use crate::kinds::rights::{self, Trial};
use crate::kinds::wire::{self, Me};
use crate::pull_request::MergeMethod;
use crate::user::{Account, Permission, ProjectAccess, TokenRight};

#[derive(Deserialize)]
struct Repository {
    full_name: Option<String>,
    default_branch: Option<String>,
    permissions: Option<Permissions>,
    allow_merge_commits: Option<bool>,
    allow_squash_merge: Option<bool>,
    allow_rebase: Option<bool>,
    archived: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Permissions {
    admin: bool,
    push: bool,
    pull: bool,
}

#[derive(Deserialize)]
struct Collaborator {
    /// `owner`, `admin`, `write`, `read` or `none`.
    permission: Option<String>,
}

impl Gitea {
    pub(super) async fn account(&self) -> Result<Account, ForgeError> {
        let me: Me = self.client.get(&["user"]).await?;
        Ok(Account { login: me.login, scopes: None })
    }

    pub(super) async fn access(&self, project: &ProjectPath) -> Result<ProjectAccess, ForgeError> {
        let repository: Repository = self.client.get(&wire::repo_path(project, &[])).await?;
        let methods = [
            (repository.allow_squash_merge, MergeMethod::Squash),
            (repository.allow_merge_commits, MergeMethod::Merge),
            (repository.allow_rebase, MergeMethod::Rebase),
        ];
        Ok(ProjectAccess {
            path: repository.full_name.unwrap_or_else(|| project.to_string()),
            default_branch: repository.default_branch.unwrap_or_default(),
            permission: match repository.permissions.unwrap_or_default() {
                Permissions { admin: true, .. } => Permission::Admin,
                Permissions { push: true, .. } => Permission::Write,
                Permissions { pull: true, .. } => Permission::Read,
                Permissions { .. } => Permission::None,
            },
            merge_methods: methods
                .iter()
                .filter(|(allowed, _)| *allowed == Some(true))
                .map(|(_, method)| *method)
                .collect(),
            is_archived: repository.archived == Some(true),
        })
    }

    /// The server reports no scopes. That of a request depends on its path, and on whether its method is one that changes something.
    pub(super) async fn refused_rights(&self, project: &ProjectPath, _: &str) -> Result<Vec<TokenRight>, ForgeError> {
        let trial = |rest: &[&'static str], action, name| Trial {
            method: Method::PATCH,
            path: wire::repo_path(project, rest),
            right: TokenRight { action, name },
        };
        let trials = vec![
            trial(&["issues", "comments", "0"], "write comments and labels", "the scope `write:issue`"),
            trial(&["pulls", "0"], "push, read checks and merge", "the scope `write:repository`"),
        ];
        rights::refused(&self.client, trials).await
    }

    pub(super) async fn permission_of(&self, project: &ProjectPath, login: &str) -> Result<Permission, ForgeError> {
        let path = wire::repo_path(project, &["collaborators", login, "permission"]);
        match self.client.get::<Collaborator>(&path).await {
            Ok(found) => Ok(found.permission.as_deref().and_then(wire::permission).unwrap_or(Permission::None)),
            // The user does not exist; the project is known.
            Err(ForgeError::NotFound { authenticated: true, .. }) => Ok(Permission::None),
            Err(error) => Err(error),
        }
    }
}
