//! Finds out whether a token is sufficient to watch a repository. Nothing here changes anything.

use std::path::Path;

use kugetsu_api::problem::Problem;
use kugetsu_api::watch::{Finding, ProbeObject, ProbeRequest};
use kugetsu_domain::reference::RepoRef;
use kugetsu_domain::watch::trust::{Permission, Trust};
use kugetsu_forge::clone_source::clone_source;
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::forge::Forge;
use kugetsu_forge::issue::IssueQuery;
use kugetsu_forge::kinds::table::{pull_request_name, token_needs};
use kugetsu_forge::references::parser::parse;
use kugetsu_forge::user::{ProjectAccess, TokenNeeds};
use kugetsu_git::mirror::BaseError;
use kugetsu_git::names::BranchName;

use crate::credentials::{source, token, token_variable, with_token};
use crate::engine::Engine;
use crate::forges::known;
use crate::problems::{absolute, usage};
use crate::resolve::repo_on_server;

/// Reads what the token may do in the repository.
///
/// # Errors
/// The request names no repository on a server.
pub async fn probe(engine: &Engine, request: &ProbeRequest) -> Result<ProbeObject, Problem> {
    let cwd: &Path = absolute(&request.cwd)?;
    let repo = repo_on_server(engine, &request.repo, cwd).await?;
    let trust = request.trust.as_deref().unwrap_or("members").parse::<Trust>();
    let trust = trust.map_err(|reason| {
        usage(format!("invalid trust: {reason}"))
            .hint("use owners, members, collaborators, or logins with commas between them")
    })?;
    let settings = engine.settings();
    let mut probe = Probe {
        object: ProbeObject {
            repo: repo.to_string(),
            url: format!("{}/{}", repo.base, repo.project),
            name: repo.project.name().to_owned(),
            label: request.label.clone(),
            ..ProbeObject::default()
        },
        variable: token_variable(&settings, repo.base.as_str()).unwrap_or_default().to_owned(),
        watch: request.watch.clone(),
        needs: settings.servers.kind_of(repo.base.as_str()).and_then(token_needs),
    };
    if probe.has_server(engine, &repo)
        && let Err(error) = probe.ask(engine, &repo, request, &trust).await
    {
        probe.failed(&error);
    }
    Ok(probe.object)
}

struct Probe {
    object: ProbeObject,
    /// The variable of the token.
    variable: String,
    /// The name of a watch that exists already.
    watch: Option<String>,
    /// `None` if the kind of the server is not known.
    needs: Option<&'static TokenNeeds>,
}

impl Probe {
    fn problem(&mut self, message: impl Into<String>, hint: impl Into<String>) {
        self.object.problems.push(Finding { message: message.into(), hint: Some(hint.into()) });
    }

    fn warning(&mut self, message: impl Into<String>, hint: Option<String>) {
        self.object.warnings.push(Finding { message: message.into(), hint });
    }

    /// Whether requests can be sent to the server.
    fn has_server(&mut self, engine: &Engine, repo: &RepoRef) -> bool {
        let settings = engine.settings();
        let Some(needs) = self.needs.filter(|_| !self.variable.is_empty()) else {
            let hint = format!("add it with `kugetsu server add <name> {}`", repo.base);
            self.problem(format!("the server {} is not configured", repo.base), hint);
            return false;
        };
        if token(&settings, repo.base.as_str()).is_none() {
            let hint = self.new_token(needs);
            self.problem(format!("{} has no token: {} is not set", repo.base, self.variable), hint);
            return false;
        }
        true
    }

    async fn ask(
        &mut self,
        engine: &Engine,
        repo: &RepoRef,
        request: &ProbeRequest,
        trust: &Trust,
    ) -> Result<(), ForgeError> {
        let forge = known(engine, &repo.base)?;
        let Some(needs) = self.needs else { return Ok(()) };
        let access = forge.project(&repo.project).await?;
        let account = forge.whoami().await?;
        self.object.login = Some(account.login.clone());
        if needs.lacks_scope(account.scopes.as_deref()) {
            let reported = account.scopes.as_deref().unwrap_or_default().join(", ");
            let reported = if reported.is_empty() { "none".to_owned() } else { reported };
            self.problem(
                format!("the token in {} lacks a scope: it has {reported}", self.variable),
                self.new_token(needs),
            );
        }
        if let Some((scope, files)) = needs.lacks_for_workflows(account.scopes.as_deref()) {
            self.warning(
                format!("the token in {} lacks the scope `{scope}`: pushes that change {files} fail", self.variable),
                Some(self.new_token(needs)),
            );
        }
        self.check_role(repo, &account.login, &access, needs);
        if account.scopes.is_none() && access.permission >= Permission::Write && !access.is_archived {
            self.check_rights(forge.as_ref(), repo, &access, needs).await?;
        }
        if !matches!(trust, Trust::Names(_)) {
            self.check_look_up(forge.as_ref(), repo, (&account.login, access.permission), trust, needs).await?;
        }
        self.check_label(forge.as_ref(), repo, needs).await?;
        if let Some(base) = &request.base {
            self.check_base(engine, repo, base).await;
        }
        if let Some(assignee) = &request.assignee {
            self.check_assignee(forge.as_ref(), repo, assignee).await?;
        }
        // A token may have the role and not the scope.
        let query = IssueQuery { open: true, label: self.object.label.clone(), ..IssueQuery::default() };
        forge.issues(&repo.project, &query).await?;
        self.check_hooks(forge.as_ref(), repo, &access, needs).await?;
        if request.merges && access.permission < needs.merge {
            let pull_requests = format!("{}s", pull_request_name(Some(forge.kind())));
            self.warning(
                format!(
                    "{} is {} and may not merge into a protected branch",
                    account.login,
                    needs.role(access.permission)
                ),
                Some(format!(
                    "give it the role {} in {}, or merge {pull_requests} yourself: {}",
                    needs.role(needs.merge),
                    repo.project,
                    self.setting("merge", "never")
                )),
            );
        }
        Ok(())
    }

    fn check_role(&mut self, repo: &RepoRef, login: &str, access: &ProjectAccess, needs: &TokenNeeds) {
        if access.path != repo.project.as_str() {
            self.warning(
                format!("{} has been renamed to {}", repo.project, access.path),
                Some(format!("watch {}/{} instead", repo.base, access.path)),
            );
        }
        if access.is_archived {
            self.problem(
                format!("{} is archived: nothing can be pushed to it", repo.project),
                "unarchive it on the server",
            );
        }
        if access.permission < Permission::Write {
            let (has, write) = (needs.role(access.permission), needs.role(Permission::Write));
            self.problem(
                format!(
                    "{login}, the user of the token in {}, has {has} in {} and may not push",
                    self.variable, repo.project
                ),
                format!("give {login} the role {write}, or set the token of a user who has it"),
            );
        }
    }

    /// A user may have the role, and the token not the scope.
    async fn check_rights(
        &mut self,
        forge: &dyn Forge,
        repo: &RepoRef,
        access: &ProjectAccess,
        needs: &TokenNeeds,
    ) -> Result<(), ForgeError> {
        for right in forge.missing_rights(&repo.project, &access.default_branch).await? {
            self.problem(
                format!("the token in {} may not {} in {}", self.variable, right.action, repo.project),
                format!("it needs {}: {}", right.name, self.new_token(needs)),
            );
        }
        Ok(())
    }

    /// `own` is the user of the token with its permission.
    async fn check_look_up(
        &mut self,
        forge: &dyn Forge,
        repo: &RepoRef,
        own: (&str, Permission),
        trust: &Trust,
        needs: &TokenNeeds,
    ) -> Result<(), ForgeError> {
        let (login, permission) = own;
        // Every user may ask for the own permission, so the answer alone does not show enough.
        let is_refused = match forge.permission(&repo.project, login).await {
            Ok(_) => permission < needs.look_up,
            Err(ForgeError::Forbidden { .. }) => true,
            Err(error) => return Err(error),
        };
        if is_refused {
            let (project, role) = (&repo.project, needs.role(needs.look_up));
            self.problem(
                format!("{login} may not look up who is one of the {trust} of {project}: that needs the role {role}"),
                format!(
                    "give {login} the role {role} in {project}, or name the trusted users: {}",
                    self.setting("trust", "kim,lee")
                ),
            );
        }
        Ok(())
    }

    async fn check_label(&mut self, forge: &dyn Forge, repo: &RepoRef, needs: &TokenNeeds) -> Result<(), ForgeError> {
        let Some(label) = self.object.label.clone() else { return Ok(()) };
        let known = forge.labels(&repo.project).await?;
        if known.contains(&label) {
            return Ok(());
        }
        match known.into_iter().find(|known| known.eq_ignore_ascii_case(&label)) {
            // The server finds it all the same, and names it by its own spelling.
            Some(other) if needs.labels_ignore_case => self.object.label = Some(other),
            other => {
                let near = other.map(|other| format!("; it has {other:?}")).unwrap_or_default();
                let page = format!("{}/{}", self.object.url, needs.labels_page);
                self.warning(
                    format!("{} has no label {label:?}{near}", repo.project),
                    Some(format!("create it at {page}")),
                );
            }
        }
        Ok(())
    }

    /// Only an answer that lacks the branch counts: git may reach the server in another way than the requests do.
    async fn check_base(&mut self, engine: &Engine, repo: &RepoRef, base: &str) {
        let settings = engine.settings();
        let hint = format!("name another branch with {}, or push {base} first", self.setting("base", "<branch>"));
        let branch = match BranchName::new(base.to_owned()) {
            Ok(branch) => branch,
            Err(error) => return self.problem(error.to_string(), hint),
        };
        let Ok(address) = parse(&self.object.url, &settings.servers.known(), None) else { return };
        let Ok(location) = clone_source(&address, &settings.repositories, &settings.servers) else { return };
        let git = with_token(engine.git(), &settings, repo.base.as_str());
        match source(false, location.clone_url.as_str()).check_base(&git, &branch).await {
            Ok(()) => {}
            Err(error @ BaseError::Unknown { .. }) => self.problem(error.to_string(), hint),
            Err(error) => tracing::warn!(%repo, base, %error, "the base of a watch is not checked"),
        }
    }

    async fn check_assignee(&mut self, forge: &dyn Forge, repo: &RepoRef, assignee: &str) -> Result<(), ForgeError> {
        let found = match forge.permission(&repo.project, assignee).await {
            Ok(permission) => permission,
            // Not every user may ask.
            Err(ForgeError::Forbidden { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        if found == Permission::None {
            let message =
                format!("{assignee} is no member of {}, so no issue can be assigned to that user", repo.project);
            self.warning(message, Some("check the login, or add the user to the project".to_owned()));
        }
        Ok(())
    }

    async fn check_hooks(
        &mut self,
        forge: &dyn Forge,
        repo: &RepoRef,
        access: &ProjectAccess,
        needs: &TokenNeeds,
    ) -> Result<(), ForgeError> {
        let is_refused = match forge.hooks(&repo.project).await {
            Ok(_) => access.permission < needs.hooks,
            Err(ForgeError::Forbidden { .. } | ForgeError::NotFound { .. }) => true,
            Err(error) => return Err(error),
        };
        if is_refused {
            let message = "the token may not manage webhooks, so changes are noticed by polls only".to_owned();
            let hint = match access.permission < needs.hooks {
                true => {
                    format!("for a webhook, give its user the role {} in {}", needs.role(needs.hooks), repo.project)
                }
                false => format!("for a webhook, the token needs {}", needs.hooks_scope),
            };
            self.warning(message, Some(hint));
        }
        Ok(())
    }

    /// How to change a setting of the watch.
    fn setting(&self, field: &str, value: &str) -> String {
        match &self.watch {
            Some(name) => format!("`kugetsu config set watch.{name}.{field} {value}`"),
            None => format!("`--{field} {value}`"),
        }
    }

    fn new_token(&self, needs: &TokenNeeds) -> String {
        format!("create a token with {}, and set it with `kugetsu env set {} -`", needs.scopes, self.variable)
    }

    /// A request of the probe failed.
    fn failed(&mut self, error: &ForgeError) {
        let hint = match (error, self.needs) {
            (ForgeError::Forbidden { .. } | ForgeError::TokenRefused { .. }, Some(needs)) => {
                Some(self.new_token(needs))
            }
            (ForgeError::NotFound { server, .. }, _) => Some(format!(
                "check the address, which projects the token can access, and whether the API of the server is at \
                 {server} (`--api-url` of `kugetsu server add` sets another address)"
            )),
            (error, _) => error.hint(),
        };
        self.object.problems.push(Finding { message: error.to_string(), hint });
    }
}
