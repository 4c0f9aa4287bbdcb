//! The project itself, the user of the token, and what users may do.

use kugetsu_domain::reference::ProjectPath;
use reqwest::Method;
use serde::Deserialize;

use super::api::GitLab;
use crate::error::ForgeError;
use crate::kinds::rights::{self, BRANCH, Trial};
use crate::kinds::wire::{self, Me};
use crate::pull_request::MergeMethod;
use crate::user::{Account, Permission, ProjectAccess, TokenRight};

#[derive(Deserialize)]
struct Project {
    path_with_namespace: Option<String>,
    default_branch: Option<String>,
    permissions: Option<Permissions>,
    /// `never`, `always`, `default_on` or `default_off`.
    squash_option: Option<String>,
    archived: Option<bool>,
}

#[derive(Default, Deserialize)]
struct Permissions {
    project_access: Option<Access>,
    group_access: Option<Access>,
}

#[derive(Deserialize)]
struct Access {
    access_level: Option<u64>,
}

#[derive(Deserialize)]
struct UserId {
    id: u64,
    username: Option<String>,
}

#[derive(Deserialize)]
struct TokenBody {
    scopes: Option<Vec<String>>,
}

impl GitLab {
    pub(super) async fn account(&self) -> Result<Account, ForgeError> {
        let me: Me = self.client.get(&["user"]).await?;
        // Only personal access tokens can read their own scopes.
        let token = self.client.get::<TokenBody>(&["personal_access_tokens", "self"]).await;
        let scopes = match token {
            Ok(token) => token.scopes,
            Err(ForgeError::NotFound { .. } | ForgeError::Forbidden { .. } | ForgeError::TokenRefused { .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(Account { login: me.login, scopes })
    }

    pub(super) async fn access(&self, project: &ProjectPath) -> Result<ProjectAccess, ForgeError> {
        let found: Project = self.client.get(&["projects", project.as_str()]).await?;
        let Permissions { project_access, group_access } = found.permissions.unwrap_or_default();
        let levels = [project_access, group_access].into_iter().flatten().filter_map(|access| access.access_level);
        let methods: &[MergeMethod] = match found.squash_option.as_deref() {
            Some("always") => &[MergeMethod::Squash],
            Some("never") => &[MergeMethod::Merge],
            _ => &[MergeMethod::Squash, MergeMethod::Merge],
        };
        Ok(ProjectAccess {
            path: found.path_with_namespace.unwrap_or_else(|| project.to_string()),
            default_branch: found.default_branch.unwrap_or_default(),
            permission: levels.max().map_or(Permission::None, permission),
            merge_methods: methods.to_vec(),
            is_archived: found.archived == Some(true),
        })
    }

    /// The scopes of a token that is no personal, project or group access token, such as one of OAuth, are not reported.
    pub(super) async fn refused_rights(
        &self,
        project: &ProjectPath,
        branch: &str,
    ) -> Result<Vec<TokenRight>, ForgeError> {
        let trial = |method: Method, rest: &[&'static str], action, name| {
            Trial::new(method, &["projects", project.as_str()], rest, branch, TokenRight { action, name })
        };
        let api = "the scope `api`";
        let trials = vec![
            trial(Method::GET, &["pipelines"], "read pipelines", api),
            trial(Method::GET, &["repository", "commits", BRANCH, "statuses"], "read commit statuses", api),
            trial(Method::PUT, &["issues", "0"], "write comments and labels", api),
            trial(Method::PUT, &["merge_requests", "0"], "open, edit and merge merge requests", api),
        ];
        rights::refused(&self.client, trials).await
    }

    pub(super) async fn permission_of(&self, project: &ProjectPath, login: &str) -> Result<Permission, ForgeError> {
        let Some(id) = self.user_id(login).await? else { return Ok(Permission::None) };
        let id = id.to_string();
        let path = ["projects", project.as_str(), "members", "all", &id];
        let member = wire::unless_missing(self.client.get::<Access>(&path).await)?;
        Ok(member.and_then(|member| member.access_level).map_or(Permission::None, permission))
    }

    /// The ID of the user with exactly this name.
    pub(super) async fn user_id(&self, login: &str) -> Result<Option<u64>, ForgeError> {
        let users: Vec<UserId> = self.client.get_by(&["users"], &[("username", login)]).await?;
        let is_user = |user: &&UserId| user.username.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(login));
        Ok(users.iter().find(is_user).map(|user| user.id))
    }
}

/// Unknown levels count as the next lower one.
fn permission(level: u64) -> Permission {
    match level {
        50.. => Permission::Admin,
        40.. => Permission::Maintain,
        30.. => Permission::Write,
        20.. => Permission::Triage,
        10.. => Permission::Read,
        _ => Permission::None,
    }
}
