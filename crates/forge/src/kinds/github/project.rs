//! The project itself, the user of the token, and what users may do.

use kugetsu_domain::reference::ProjectPath;
use reqwest::Method;
use serde::Deserialize;

use super::api::GitHub;
use crate::error::ForgeError;
use crate::kinds::rights::{self, BRANCH, Trial};
use crate::kinds::wire::{self, Me};
use crate::pull_request::MergeMethod;
use crate::user::{Account, Permission, ProjectAccess, TokenRight};

#[derive(Deserialize)]
struct Repository {
    full_name: Option<String>,
    default_branch: Option<String>,
    permissions: Option<Permissions>,
    allow_merge_commit: Option<bool>,
    allow_squash_merge: Option<bool>,
    allow_rebase_merge: Option<bool>,
    archived: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Permissions {
    admin: bool,
    maintain: bool,
    push: bool,
    triage: bool,
    pull: bool,
}

#[derive(Deserialize)]
struct Collaborator {
    /// `admin`, `write`, `read` or `none`.
    permission: Option<String>,
    /// Also `maintain` and `triage`, or a role of the organization.
    role_name: Option<String>,
}

impl GitHub {
    pub(super) async fn account(&self) -> Result<Account, ForgeError> {
        let response = self.client.get_response(&["user"], &[]).await?;
        // Fine-grained tokens and apps have none.
        let scopes = response.header("x-oauth-scopes").map(|scopes| {
            scopes.split(',').map(str::trim).filter(|scope| !scope.is_empty()).map(str::to_owned).collect()
        });
        let me: Me = self.client.parse(&response)?;
        Ok(Account { login: me.login, scopes })
    }

    pub(super) async fn access(&self, project: &ProjectPath) -> Result<ProjectAccess, ForgeError> {
        let repository: Repository = self.client.get(&wire::repo_path(project, &[])).await?;
        let may = repository.permissions.unwrap_or_default();
        let methods = [
            (repository.allow_squash_merge, MergeMethod::Squash),
            (repository.allow_merge_commit, MergeMethod::Merge),
            (repository.allow_rebase_merge, MergeMethod::Rebase),
        ];
        Ok(ProjectAccess {
            path: repository.full_name.unwrap_or_else(|| project.to_string()),
            default_branch: repository.default_branch.unwrap_or_default(),
            permission: match may {
                Permissions { admin: true, .. } => Permission::Admin,
                Permissions { maintain: true, .. } => Permission::Maintain,
                Permissions { push: true, .. } => Permission::Write,
                Permissions { triage: true, .. } => Permission::Triage,
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

    /// A fine-grained token has no scopes.
    pub(super) async fn refused_rights(
        &self,
        project: &ProjectPath,
        branch: &str,
    ) -> Result<Vec<TokenRight>, ForgeError> {
        let repository = wire::repo_path(project, &[]);
        let trial = |method: Method, rest: &[&'static str], action, name| {
            Trial::new(method, &repository, rest, branch, TokenRight { action, name })
        };
        let trials = vec![
            // The permission Checks is one of apps: fine-grained tokens read check runs of public repositories only.
            trial(
                Method::GET,
                &["commits", BRANCH, "check-runs"],
                "read check runs",
                "a classic token, because no fine-grained token can read those of a private repository",
            ),
            trial(
                Method::GET,
                &["commits", BRANCH, "status"],
                "read commit statuses",
                "the permission Commit statuses (read)",
            ),
            trial(Method::GET, &["actions", "runs"], "read the logs of jobs", "the permission Actions (read)"),
            trial(
                Method::PATCH,
                &["issues", "comments", "0"],
                "write comments and labels",
                "the permission Issues (read and write)",
            ),
            trial(
                Method::PATCH,
                &["pulls", "0"],
                "open and edit pull requests",
                "the permission Pull requests (read and write)",
            ),
            // Releases belong to the contents.
            trial(Method::PATCH, &["releases", "0"], "push and merge", "the permission Contents (read and write)"),
        ];
        rights::refused(&self.client, trials).await
    }

    pub(super) async fn permission_of(&self, project: &ProjectPath, login: &str) -> Result<Permission, ForgeError> {
        let path = wire::repo_path(project, &["collaborators", login, "permission"]);
        let found = match self.client.get::<Collaborator>(&path).await {
            Ok(found) => found,
            // The user does not exist; the project is known.
            Err(ForgeError::NotFound { authenticated: true, .. }) => return Ok(Permission::None),
            Err(error) => return Err(error),
        };
        let by_role = found.role_name.as_deref().and_then(wire::permission);
        // A role of the organization's own is at least as much as the legacy name says.
        Ok(by_role.or_else(|| wire::permission(found.permission.as_deref()?)).unwrap_or(Permission::None))
    }
}
