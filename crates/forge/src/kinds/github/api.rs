//! GitHub and GitHub Enterprise Server.

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

pub(in crate::kinds) static GITHUB: Dialect = Dialect {
    kind: ForgeKind::GitHub,
    pull_request_name: "pull request",
    public: &[PublicServer {
        base: "https://github.com",
        api: Some("https://api.github.com"),
        ssh_host: Some("ssh.github.com"),
    }],
    token_variable: "GITHUB_TOKEN",
    git_user: TokenUser::XAccessToken,
    pages: Pages {
        nested_projects: false,
        separator: None,
        issue_words: &["issues"],
        // The pages say `pull`, the API says `pulls`.
        pull_request_words: &["pull", "pulls"],
        comment_anchors: &["issuecomment-", "discussion_r", "pullrequestreview-"],
        pull_request_sign: None,
        shared_numbers: true,
    },
    api: ApiPaths { root: "api/v3", projects: "repos", project_in_one_segment: false },
    http: HttpDialect {
        token_header: "authorization",
        token_prefix: "Bearer ",
        accept: "application/vnd.github+json",
        version: Some(("x-github-api-version", "2022-11-28")),
        paging: Paging::Link,
        refusals: &[],
    },
    needs: TokenNeeds {
        roles: &[
            (Permission::Read, "Read"),
            (Permission::Triage, "Triage"),
            (Permission::Write, "Write"),
            (Permission::Maintain, "Maintain"),
            (Permission::Admin, "Admin"),
        ],
        look_up: Permission::Write,
        hooks: Permission::Admin,
        hooks_scope: "`repo` (a fine-grained one: Webhooks, read and write)",
        merge: Permission::Write,
        scopes: "`repo` and `workflow` (for a public repository also a fine-grained one with Contents, Issues, Pull requests and \
                 Workflows (read and write), and Actions and Commit statuses (read))",
        sufficient: &["repo", "public_repo"],
        for_workflows: Some(("workflow", ".github/workflows")),
        labels_page: "labels",
        labels_ignore_case: true,
    },
    connect: |server, client| Arc::new(GitHub { server, client }),
    probe: Some(|prober| Box::pin(probe(prober))),
};

/// The REST API.
#[derive(Debug)]
pub(super) struct GitHub {
    pub(super) server: ServerBase,
    pub(super) client: Client,
}

#[derive(Deserialize)]
struct Meta {
    installed_version: Option<String>,
}

impl Forge for GitHub {
    fn server(&self) -> &ServerBase {
        &self.server
    }

    fn kind(&self) -> ForgeKind {
        ForgeKind::GitHub
    }

    fn whoami(&self) -> BoxFuture<'_, Account> {
        Box::pin(self.account())
    }

    fn version(&self) -> BoxFuture<'_, Version> {
        Box::pin(async {
            let meta: Meta = self.client.get(&["meta"]).await?;
            Ok(Version { kind: ForgeKind::GitHub, text: meta.installed_version })
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

    fn open_sub_issues<'a>(&'a self, project: &'a ProjectPath, number: u64) -> BoxFuture<'a, Vec<u64>> {
        Box::pin(self.sub_issues(project, number))
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

    fn has_merge_queue<'a>(&'a self, project: &'a ProjectPath, branch: &'a str) -> BoxFuture<'a, bool> {
        Box::pin(self.has_queue(project, branch))
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

/// An Enterprise Server reports its version, perhaps only to those who sign in, and has other headers.
async fn probe(prober: &Prober) -> Result<Option<Identity>, ForgeError> {
    let response = prober.get("api/v3/meta").await?;
    let version = response
        .field("installed_version")
        .or_else(|| response.header("x-github-enterprise-version").map(str::to_owned));
    let is_github = version.is_some() || response.header("x-github-request-id").is_some();
    Ok(is_github.then_some(Identity { kind: ForgeKind::GitHub, version }))
}
