//! GitLab. The API takes a project's path as one segment, and merge requests have numbers of their own.

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
use crate::kinds::wire;
use crate::pull_request::{Merge, MergeSchedule, NewPullRequest, PullRequest, PullRequestEdit};
use crate::user::{Account, Permission, ProjectAccess, TokenNeeds, TokenRight};

pub(in crate::kinds) static GITLAB: Dialect = Dialect {
    kind: ForgeKind::GitLab,
    pull_request_name: "merge request",
    public: &[PublicServer { base: "https://gitlab.com", api: None, ssh_host: Some("altssh.gitlab.com") }],
    token_variable: "GITLAB_TOKEN",
    git_user: TokenUser::Oauth2,
    pages: Pages {
        nested_projects: true,
        // Versions before 12.0 wrote addresses without it.
        separator: Some("-"),
        issue_words: &["issues", "work_items"],
        pull_request_words: &["merge_requests"],
        comment_anchors: &["note_"],
        pull_request_sign: Some('!'),
        shared_numbers: false,
    },
    api: ApiPaths { root: "api/v4", projects: "projects", project_in_one_segment: true },
    http: HttpDialect {
        token_header: "private-token",
        token_prefix: "",
        accept: "application/json",
        version: None,
        paging: Paging::NextPage,
        refusals: &[400, 406],
    },
    needs: TokenNeeds {
        roles: &[
            (Permission::Read, "Guest"),
            (Permission::Triage, "Reporter"),
            (Permission::Write, "Developer"),
            (Permission::Maintain, "Maintainer"),
            (Permission::Admin, "Owner"),
        ],
        look_up: Permission::Read,
        hooks: Permission::Maintain,
        hooks_scope: "`api`",
        merge: Permission::Maintain,
        scopes: "`api`",
        sufficient: &["api"],
        for_workflows: None,
        labels_page: "-/labels",
        labels_ignore_case: false,
    },
    connect: |server, client| Arc::new(GitLab { server, client }),
    probe: Some(|prober| Box::pin(probe(prober))),
};

/// The REST API.
#[derive(Debug)]
pub(super) struct GitLab {
    pub(super) server: ServerBase,
    pub(super) client: Client,
}

#[derive(Deserialize)]
struct VersionBody {
    version: Option<String>,
}

impl Forge for GitLab {
    fn server(&self) -> &ServerBase {
        &self.server
    }

    fn kind(&self) -> ForgeKind {
        ForgeKind::GitLab
    }

    fn whoami(&self) -> BoxFuture<'_, Account> {
        Box::pin(self.account())
    }

    fn version(&self) -> BoxFuture<'_, Version> {
        Box::pin(async {
            let body: VersionBody = self.client.get(&["version"]).await?;
            Ok(Version { kind: ForgeKind::GitLab, text: body.version })
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
            let path = ["projects", project.as_str(), "repository", "files", name];
            wire::text(self.client.get_by(&path, &[("ref", "HEAD")]).await, self.server(), name)
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

    fn has_merge_queue<'a>(&'a self, project: &'a ProjectPath, _: &'a str) -> BoxFuture<'a, bool> {
        Box::pin(self.has_trains(project))
    }

    fn merge_schedule<'a>(&'a self, project: &'a ProjectPath, number: u64) -> BoxFuture<'a, MergeSchedule> {
        Box::pin(async move { Ok(self.is_scheduled(project, number).await?.into()) })
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

    fn ci_of_pull_request<'a>(
        &'a self,
        project: &'a ProjectPath,
        number: u64,
        head: &'a str,
    ) -> BoxFuture<'a, CiStatus> {
        Box::pin(async move {
            let mut ci = self.ci_of(project, head).await?;
            ci.checks.extend(self.ci_of_merged_results(project, number, head).await?);
            Ok(ci)
        })
    }

    fn job_log<'a>(&'a self, project: &'a ProjectPath, job: &'a str, max: usize) -> BoxFuture<'a, Option<String>> {
        Box::pin(self.log_of_job(project, job, max))
    }

    fn add_comment<'a>(&'a self, project: &'a ProjectPath, subject: Subject, body: &'a str) -> BoxFuture<'a, Comment> {
        Box::pin(self.post_comment(project, subject, body))
    }

    fn edit_comment<'a>(
        &'a self,
        project: &'a ProjectPath,
        subject: Subject,
        id: u64,
        body: &'a str,
    ) -> BoxFuture<'a, ()> {
        Box::pin(self.put_comment(project, subject, id, body))
    }

    fn react<'a>(
        &'a self,
        project: &'a ProjectPath,
        subject: Subject,
        comment: u64,
        reaction: Reaction,
    ) -> BoxFuture<'a, ()> {
        Box::pin(self.add_reaction(project, subject, comment, reaction))
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
        Box::pin(self.put_issue(project, number, edit))
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
        Box::pin(self.ask_for_review(project, number, logins))
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

/// A GitLab reports its version only with a token; without one, it refuses with a message of its own.
async fn probe(prober: &Prober) -> Result<Option<Identity>, ForgeError> {
    let response = prober.get("api/v4/version").await?;
    let identity = |version| Some(Identity { kind: ForgeKind::GitLab, version });
    Ok(match response.status() {
        200 => match (response.field("version"), response.field("revision")) {
            (Some(version), Some(_)) => identity(Some(version)),
            _ => None,
        },
        401 if response.field("message").as_deref() == Some("401 Unauthorized") => identity(None),
        _ => None,
    })
}
