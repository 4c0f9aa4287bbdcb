//! The forge server as a test holds it.

use std::sync::Arc;

use super::fault::Fault;
use super::flavor::Flavor;
use super::handler::Desk;
use super::issue::Issue;
use super::pull_request::{PrState, PullRequest};
use super::record::ForgeRequest;
use super::world::World;
use crate::git_server::server::GitServer;
use crate::local_server::LocalServer;
use crate::watched::Watched;

/// A running forge on a free port of 127.0.0.1; dropping it stops it.
///
/// Projects come into being by being named, and everybody may see them; see [`private`](Self::private). A token that is
/// not known is refused even where none is needed.
///
/// ```no_run
/// use kugetsu_testkit::forge_server::pull_request::{PrState, PullRequest};
/// use kugetsu_testkit::forge_server::issue::Issue;
/// use kugetsu_testkit::{ForgeServer, GitServer};
///
/// let forge = ForgeServer::gitea();
/// forge.token("s3cret", "robot");
/// let issue = forge.issue("acme/api", Issue::new("It is slow").body("Very.").label("bug"));
/// let pull = forge.pull_request("acme/api", PullRequest::new("Make it quick", "kugetsu/1-it-is-slow"));
/// forge.set_pr_state("acme/api", pull, PrState::Merged);
///
/// // The same address for pages, API and git, as servers have it.
/// let git = GitServer::start("s3cret");
/// forge.serve_git(&git);
/// let clone_from = format!("{}/acme/api.git", forge.base_url());
/// ```
#[derive(Debug)]
pub struct ForgeServer {
    server: LocalServer,
    desk: Arc<Desk>,
}

impl ForgeServer {
    /// A GitHub Enterprise Server: its API is below `/api/v3`.
    pub fn github() -> Self {
        Self::start(Flavor::GitHub)
    }

    /// A Gitea.
    pub fn gitea() -> Self {
        Self::start(Flavor::Gitea)
    }

    /// A Forgejo.
    pub fn forgejo() -> Self {
        Self::start(Flavor::Forgejo)
    }

    /// A GitLab.
    pub fn gitlab() -> Self {
        Self::start(Flavor::GitLab)
    }

    fn start(flavor: Flavor) -> Self {
        let page_max = if matches!(flavor, Flavor::Gitea | Flavor::Forgejo) { 50 } else { 100 };
        let world = World { version: flavor.version().to_owned(), page_max, ..World::default() };
        let desk = Arc::new(Desk {
            flavor,
            world: Watched::new(world),
            requests: Watched::default(),
            faults: Watched::default(),
            git: Watched::default(),
        });
        Self { server: LocalServer::start("forge-server", Arc::clone(&desk).router()), desk }
    }

    /// Where its pages begin, for instance `http://127.0.0.1:4711`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// Where its API begins.
    pub fn api_url(&self) -> String {
        format!("{}{}", self.base_url(), self.desk.flavor.prefix())
    }

    /// Lets `login` in with `token`.
    pub fn token(&self, token: &str, login: &str) -> &Self {
        self.desk.world.change(|world| world.tokens.insert(token.to_owned(), login.to_owned()));
        self
    }

    /// Does not know this token any more.
    pub fn revoke(&self, token: &str) {
        self.desk.world.change(|world| world.tokens.remove(token));
    }

    /// Shows the project to these users only.
    pub fn private(&self, project: &str, logins: &[&str]) {
        let members = logins.iter().map(|login| (*login).to_owned()).collect();
        self.desk.world.change(|world| world.project_mut(project).members = Some(members));
    }

    /// Adds an issue; its number.
    pub fn issue(&self, project: &str, issue: Issue) -> u64 {
        let shared = self.desk.flavor.shares_numbers();
        self.desk.world.change(|world| world.project_mut(project).add_issue(issue, shared))
    }

    /// Adds a pull request; its number.
    pub fn pull_request(&self, project: &str, pull: PullRequest) -> u64 {
        let shared = self.desk.flavor.shares_numbers();
        self.desk.world.change(|world| world.project_mut(project).add_pull_request(pull, shared))
    }

    /// Makes something else of a pull request.
    ///
    /// # Panics
    /// When there is none of this number.
    pub fn set_pr_state(&self, project: &str, number: u64, state: PrState) {
        self.edit_pull_request(project, number, |pull| pull.state = state);
    }

    /// Alters a pull request in any way.
    ///
    /// # Panics
    /// When there is none of this number.
    pub fn edit_pull_request(&self, project: &str, number: u64, edit: impl FnOnce(&mut PullRequest)) {
        self.desk.world.change(|world| {
            let project = world.projects.get_mut(project).expect("the project of the pull request");
            edit(project.pull_requests.get_mut(&number).expect("the pull request"));
        });
    }

    /// Says that it is of this version.
    pub fn set_version(&self, version: &str) {
        self.desk.world.change(|world| world.version = version.to_owned());
    }

    /// Tells nothing to those without a token (Gitea's and Forgejo's `REQUIRE_SIGNIN_VIEW`).
    pub fn require_sign_in(&self) {
        self.desk.world.change(|world| world.sign_in = true);
    }

    /// Gives no more than this many entries per page, whatever is asked for.
    pub fn set_page_max(&self, entries: usize) {
        self.desk.world.change(|world| world.page_max = entries);
    }

    /// Tells addresses that begin with this one, whatever it was reached at: what servers behind a proxy do.
    pub fn set_root_url(&self, base: &str) {
        self.desk.world.change(|world| base.clone_into(&mut world.root_url));
    }

    /// Serves the repositories of `git` below this server's address too; they keep their own.
    pub fn serve_git(&self, git: &GitServer) {
        self.desk.git.change(|served| *served = Some(git.desk()));
    }

    /// Makes this fault of the next request.
    pub fn fail_next(&self, fault: Fault) {
        self.fail_at("", fault);
    }

    /// Makes this fault of the next request whose path and query hold `part`.
    pub fn fail_at(&self, part: &str, fault: Fault) {
        self.desk.faults.change(|faults| faults.push((part.to_owned(), fault)));
    }

    /// Every request so far but those of git, in the order of arrival.
    pub fn requests(&self) -> Vec<ForgeRequest> {
        self.desk.requests.read(Vec::clone)
    }

    /// Waits until `condition` holds for all requests so far, and returns them.
    ///
    /// # Panics
    /// When it does not within [`crate::wait::DEADLINE`].
    pub async fn await_requests(&self, what: &str, condition: impl Fn(&[ForgeRequest]) -> bool) -> Vec<ForgeRequest> {
        self.desk.requests.until(what, |requests| condition(requests).then(|| requests.clone())).await
    }
}
