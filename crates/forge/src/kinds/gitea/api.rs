//! The API. Responses are read so that they fit Gitea and Forgejo, and their older versions too.

use std::sync::Arc;

use kugetsu_domain::reference::{ForgeKind, ProjectPath, ServerBase};
use kugetsu_domain::secret_forms::TokenUser;
use kugetsu_domain::watch::selection::{Mark, Setting};
use serde::Deserialize;

use crate::ci::CiStatus;
use crate::discussion::{Comment, Comments, Reaction, Review, ReviewThread};
use crate::error::ForgeError;
use crate::forge::{BoxFuture, Forge, Hook, NewHook, Subject, Version};
use crate::http::client::{Client, HttpDialect};
use crate::http::paging::Paging;
use crate::issue::{Issue, IssueEdit, IssueQuery, Listed};
use crate::kinds::dialect::{ApiPaths, Dialect, Pages, PublicServer};
use crate::kinds::probe::{Identity, Prober};
use crate::kinds::{repo_requests, wire};
use crate::pull_request::{Merge, MergeSchedule, NewPullRequest, PullRequest, PullRequestEdit};
use crate::user::{Account, Permission, ProjectAccess, TokenNeeds, TokenRight};

pub(in crate::kinds) static GITEA: Dialect = SHARED;

pub(in crate::kinds) static FORGEJO: Dialect = Dialect {
    kind: ForgeKind::Forgejo,
    public: &[PublicServer { base: "https://codeberg.org", api: None, ssh_host: None }],
    connect: |server, client| Arc::new(Gitea { kind: ForgeKind::Forgejo, server, client }),
    probe: None,
    ..SHARED
};

pub(super) const SHARED: Dialect = Dialect {
    kind: ForgeKind::Gitea,
    pull_request_name: "pull request",
    public: &[],
    token_variable: "GITEA_TOKEN",
    // Any name would do.
    git_user: TokenUser::Oauth2,
    pages: Pages {
        nested_projects: false,
        separator: None,
        issue_words: &["issues"],
        pull_request_words: &["pulls", "pull"],
        comment_anchors: &["issuecomment-"],
        pull_request_sign: None,
        shared_numbers: true,
    },
    api: ApiPaths { root: "api/v1", projects: "repos", project_in_one_segment: false },
    http: HttpDialect {
        token_header: "authorization",
        // Older versions accept `Bearer` for OAuth only.
        token_prefix: "token ",
        accept: "application/json",
        version: None,
        paging: Paging::LinkOrCount,
        refusals: &[],
    },
    needs: TokenNeeds {
        roles: &[(Permission::Read, "Read"), (Permission::Write, "Write"), (Permission::Admin, "Administrator")],
        look_up: Permission::Admin,
        hooks: Permission::Admin,
        hooks_scope: "`write:repository`",
        merge: Permission::Write,
        scopes: "`write:repository`, `write:issue` and `read:user`",
        sufficient: &[],
        for_workflows: None,
        labels_page: "labels",
        labels_ignore_case: false,
    },
    connect: |server, client| Arc::new(Gitea { kind: ForgeKind::Gitea, server, client }),
    probe: Some(|prober| Box::pin(probe(prober))),
};

/// Gitea's API, which Forgejo has too.
#[derive(Debug)]
pub(super) struct Gitea {
    pub(super) kind: ForgeKind,
    pub(super) server: ServerBase,
    pub(super) client: Client,
}

#[derive(Deserialize)]
struct VersionBody {
    version: Option<String>,
}

impl Forge for Gitea {
    fn server(&self) -> &ServerBase {
        &self.server
    }

    fn kind(&self) -> ForgeKind {
        self.kind
    }

    fn whoami(&self) -> BoxFuture<'_, Account> {
        Box::pin(self.account())
    }

    fn version(&self) -> BoxFuture<'_, Version> {
        Box::pin(async {
            let body: VersionBody = self.client.get(&["version"]).await?;
            let kind = body.version.as_deref().map_or(self.kind, kind_of);
            Ok(Version { kind, text: body.version })
        })
    }

    fn project<'a>(&'a self, project: &'a ProjectPath) -> BoxFuture<'a, ProjectAccess> {
        Box::pin(self.access(project))
    }

    fn missing_rights<'a>(&'a self, project: &'a ProjectPath, branch: &'a str) -> BoxFuture<'a, Vec<TokenRight>> {
        Box::pin(self.refused_rights(project, branch))
    }

    fn file<'a>(&'a self, project: &'a ProjectPath, name: &'a str) -> BoxFuture<'a, Option<String>> {
        Box::pin(async move {
            wire::text(self.client.get(&wire::repo_path(project, &["contents", name])).await, self.server(), name)
        })
    }

    fn permission<'a>(&'a self, project: &'a ProjectPath, login: &'a str) -> BoxFuture<'a, Permission> {
        Box::pin(self.permission_of(project, login))
    }

    fn issue<'a>(&'a self, project: &'a ProjectPath, number: u64) -> BoxFuture<'a, Issue> {
        Box::pin(self.get_issue(project, number))
    }

    fn issues<'a>(&'a self, project: &'a ProjectPath, query: &'a IssueQuery) -> BoxFuture<'a, Listed<Issue>> {
        Box::pin(self.list_issues(project, query))
    }

    fn last_setting<'a>(&'a self, project: &'a ProjectPath, number: u64, mark: &'a Mark) -> BoxFuture<'a, Setting> {
        Box::pin(self.setting_of(project, number, mark))
    }

    fn open_dependencies<'a>(&'a self, project: &'a ProjectPath, number: u64) -> BoxFuture<'a, Vec<u64>> {
        Box::pin(self.dependencies(project, number))
    }

    fn labels<'a>(&'a self, project: &'a ProjectPath) -> BoxFuture<'a, Vec<String>> {
        Box::pin(self.list_labels(project))
    }

    fn comments<'a>(&'a self, project: &'a ProjectPath, subject: Subject) -> BoxFuture<'a, Comments> {
        Box::pin(self.list_comments(project, subject))
    }

    fn pull_request<'a>(&'a self, project: &'a ProjectPath, number: u64) -> BoxFuture<'a, PullRequest> {
        Box::pin(self.get_pull(project, number))
    }

    fn find_pull_requests<'a>(&'a self, project: &'a ProjectPath, branch: &'a str) -> BoxFuture<'a, Vec<PullRequest>> {
        Box::pin(self.find_pulls(project, branch))
    }

    /// Neither Gitea nor Forgejo has one.
    fn has_merge_queue<'a>(&'a self, _: &'a ProjectPath, _: &'a str) -> BoxFuture<'a, bool> {
        Box::pin(async { Ok(false) })
    }

    fn merge_schedule<'a>(&'a self, project: &'a ProjectPath, number: u64) -> BoxFuture<'a, MergeSchedule> {
        Box::pin(self.schedule(project, number))
    }

    fn reviews<'a>(&'a self, project: &'a ProjectPath, number: u64) -> BoxFuture<'a, Vec<Review>> {
        Box::pin(self.list_reviews(project, number))
    }

    fn review_threads<'a>(&'a self, project: &'a ProjectPath, number: u64) -> BoxFuture<'a, Vec<ReviewThread>> {
        Box::pin(self.list_threads(project, number))
    }

    fn ci<'a>(&'a self, project: &'a ProjectPath, commit: &'a str) -> BoxFuture<'a, CiStatus> {
        Box::pin(self.ci_of(project, commit))
    }

    fn job_log<'a>(&'a self, project: &'a ProjectPath, job: &'a str, max: usize) -> BoxFuture<'a, Option<String>> {
        Box::pin(self.log_of_job(project, job, max))
    }

    fn add_comment<'a>(&'a self, project: &'a ProjectPath, subject: Subject, body: &'a str) -> BoxFuture<'a, Comment> {
        Box::pin(repo_requests::post_comment(&self.client, project, subject, body))
    }

    fn edit_comment<'a>(&'a self, project: &'a ProjectPath, _: Subject, id: u64, body: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(repo_requests::patch_comment(&self.client, project, id, body))
    }

    fn react<'a>(
        &'a self,
        project: &'a ProjectPath,
        _: Subject,
        comment: u64,
        reaction: Reaction,
    ) -> BoxFuture<'a, ()> {
        Box::pin(repo_requests::add_reaction(&self.client, project, comment, reaction))
    }

    fn label<'a>(
        &'a self,
        project: &'a ProjectPath,
        subject: Subject,
        add: &'a [String],
        remove: &'a [String],
    ) -> BoxFuture<'a, ()> {
        Box::pin(self.change_labels(project, subject, add, remove))
    }

    fn edit_issue<'a>(&'a self, project: &'a ProjectPath, number: u64, edit: &'a IssueEdit) -> BoxFuture<'a, ()> {
        Box::pin(self.patch_issue(project, number, edit))
    }

    fn open_pull_request<'a>(
        &'a self,
        project: &'a ProjectPath,
        new: &'a NewPullRequest,
    ) -> BoxFuture<'a, PullRequest> {
        Box::pin(self.open_pull(project, new))
    }

    fn edit_pull_request<'a>(
        &'a self,
        project: &'a ProjectPath,
        number: u64,
        edit: &'a PullRequestEdit,
    ) -> BoxFuture<'a, ()> {
        Box::pin(self.edit_pull(project, number, edit))
    }

    fn request_review<'a>(&'a self, project: &'a ProjectPath, number: u64, logins: &'a [String]) -> BoxFuture<'a, ()> {
        Box::pin(repo_requests::ask_for_review(&self.client, project, number, logins))
    }

    fn merge<'a>(&'a self, project: &'a ProjectPath, number: u64, merge: &'a Merge) -> BoxFuture<'a, ()> {
        Box::pin(self.merge_pull(project, number, merge))
    }

    fn cancel_merge<'a>(&'a self, project: &'a ProjectPath, number: u64) -> BoxFuture<'a, ()> {
        Box::pin(self.unschedule(project, number))
    }

    fn branch_head<'a>(&'a self, project: &'a ProjectPath, branch: &'a str) -> BoxFuture<'a, Option<String>> {
        Box::pin(self.find_branch(project, branch))
    }

    fn merged_head<'a>(&'a self, project: &'a ProjectPath, number: u64) -> BoxFuture<'a, String> {
        Box::pin(self.find_merged_head(project, number))
    }

    fn delete_branch<'a>(&'a self, project: &'a ProjectPath, branch: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(self.remove_branch(project, branch))
    }

    fn hooks<'a>(&'a self, project: &'a ProjectPath) -> BoxFuture<'a, Vec<Hook>> {
        Box::pin(self.list_hooks(project))
    }

    fn create_hook<'a>(&'a self, project: &'a ProjectPath, hook: &'a NewHook) -> BoxFuture<'a, Hook> {
        Box::pin(self.add_hook(project, hook))
    }
}

/// The kind that a version belongs to: Forgejo's names the Gitea that it is compatible with.
fn kind_of(version: &str) -> ForgeKind {
    if version.contains("+gitea-") { ForgeKind::Forgejo } else { ForgeKind::Gitea }
}

/// Recognizes Gitea and Forgejo by their version. A server that requires a login hides the version, but refuses with a
/// message and a cookie of its own.
async fn probe(prober: &Prober) -> Result<Option<Identity>, ForgeError> {
    let response = prober.get("api/v1/version").await?;
    if matches!(response.status(), 200..=299) {
        // Other programs with this path return more than a version.
        let is_only_field =
            response.json().is_some_and(|json| json.as_object().is_some_and(|fields| fields.len() == 1));
        let version = response.field("version").filter(|_| is_only_field);
        return Ok(version.map(|version| Identity { kind: kind_of(&version), version: Some(version) }));
    }
    if !matches!(response.status(), 401 | 403) {
        return Ok(None);
    }
    // Gitea answers this path with 404 even if it requires a login.
    let forgejo = prober.get("api/forgejo/v1/version").await?;
    let version = forgejo.field("version");
    let is_forgejo = match forgejo.status() {
        200 => version.is_some(),
        401 | 403 => forgejo.json().is_some(),
        _ => false,
    };
    if is_forgejo {
        return Ok(Some(Identity { kind: ForgeKind::Forgejo, version }));
    }
    let message = response.field("message").unwrap_or_default();
    let is_gitea = message.contains("signed in user")
        || message.contains("token is required")
        || response.sets_cookie("i_like_gitea")
        || prober.get("").await?.sets_cookie("i_like_gitea");
    Ok(is_gitea.then_some(Identity { kind: ForgeKind::Gitea, version: None }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgejo_is_distinguished_from_gitea_by_its_version() {
        assert_eq!(kind_of("17.0.0-dev+gitea-1.22.0"), ForgeKind::Forgejo);
        assert_eq!(kind_of("1.24.2"), ForgeKind::Gitea);
        assert_eq!(kind_of("1.25.0+dev-12-gabcdef"), ForgeKind::Gitea);
    }
}
