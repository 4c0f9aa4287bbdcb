//! The forge server as tests use it.

use std::sync::{Arc, Mutex};

use super::delivery;
use super::fault::Fault;
use super::flavor::Flavor;
use super::handler::{Gate, Outage, ServerState};
use super::issue::Issue;
use super::pull_request::{PrState, PullRequest};
use super::request::ForgeRequest;
use super::state::ForgeState;
use crate::git_server::server::GitServer;
use crate::local_server::LocalServer;
use crate::watched::Watched;

/// A forge on a free port of 127.0.0.1, stopped on drop.
///
/// A project is created when it is first named and is public unless it is made [`private`](Self::private). An unknown
/// token is refused even if the request needs none. The users of tokens may do everything unless
/// [`set_permission`](Self::set_permission) limits that; others may read.
///
/// The clock is that of the server's data: it starts long ago, and every change takes a second.
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
/// // One address for pages, API and git, as on real servers.
/// let git = GitServer::start("s3cret");
/// forge.serve_git(&git);
/// let clone_from = format!("{}/acme/api.git", forge.base_url());
/// ```
#[derive(Debug)]
pub struct ForgeServer {
    server: LocalServer,
    _logs: LocalServer,
    pub(super) state: Arc<ServerState>,
}

impl ForgeServer {
    /// A GitHub Enterprise Server, whose API is below `/api/v3`.
    pub fn github() -> Self {
        Self::start(Flavor::GitHub)
    }

    pub fn gitea() -> Self {
        Self::start(Flavor::Gitea)
    }

    pub fn forgejo() -> Self {
        Self::start(Flavor::Forgejo)
    }

    pub fn gitlab() -> Self {
        Self::start(Flavor::GitLab)
    }

    fn start(flavor: Flavor) -> Self {
        let deliveries = Arc::new(Watched::default());
        let state = Arc::new(ServerState {
            flavor,
            forge: Watched::new(ForgeState::new(flavor)),
            requests: Watched::default(),
            log_requests: Watched::default(),
            faults: Watched::default(),
            outage: Watched::default(),
            gate: Watched::default(),
            git: Watched::default(),
            mishaps: Watched::default(),
            outgoing: Mutex::new(delivery::start(Arc::clone(&deliveries))),
            deliveries,
        });
        let server = LocalServer::start("forge-server", Arc::clone(&state).router());
        let logs = LocalServer::start("forge-logs", Arc::clone(&state).logs_router());
        state.forge.change(|forge| {
            forge.own_url = format!("http://{}", server.address());
            forge.logs_url = format!("http://{}", logs.address());
        });
        Self { server, _logs: logs, state }
    }

    /// The root address, for example `http://127.0.0.1:4711`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    pub fn api_url(&self) -> String {
        format!("{}{}", self.base_url(), self.state.flavor.prefix())
    }

    /// Adds a token of the user `login`.
    pub fn token(&self, token: &str, login: &str) -> &Self {
        self.state.forge.change(|forge| {
            forge.users.insert(login.to_owned());
            forge.tokens.insert(token.to_owned(), login.to_owned());
        });
        self
    }

    pub fn revoke(&self, token: &str) {
        self.state.forge.change(|forge| forge.tokens.remove(token));
    }

    /// Makes the project visible only to these users.
    pub fn private(&self, project: &str, logins: &[&str]) {
        let members = logins.iter().map(|login| (*login).to_owned()).collect();
        self.state.forge.change(|forge| forge.project_mut(project).members = Some(members));
    }

    /// Adds an issue and returns its number.
    pub fn issue(&self, project: &str, issue: Issue) -> u64 {
        let author = issue.author.clone().unwrap_or_default();
        self.state.change(|forge| forge.add_issue(project, &author, issue))
    }

    /// Adds a pull request and returns its number.
    pub fn pull_request(&self, project: &str, pull: PullRequest) -> u64 {
        let author = pull.issue.author.clone().unwrap_or_default();
        self.state.change(|forge| forge.add_pull(project, &author, pull))
    }

    /// # Panics
    /// Panics if there is no such pull request.
    pub fn set_pr_state(&self, project: &str, number: u64, state: PrState) {
        self.edit_pull_request(project, number, |pull| pull.state = state);
    }

    /// # Panics
    /// Panics if there is no such pull request.
    pub fn edit_pull_request(&self, project: &str, number: u64, edit: impl FnOnce(&mut PullRequest)) {
        self.state.forge.change(|forge| {
            let project = forge.projects.get_mut(project).expect("the project of the pull request");
            edit(project.pull_requests.get_mut(&number).expect("the pull request"));
        });
    }

    pub fn set_version(&self, version: &str) {
        self.state.forge.change(|forge| forge.version = version.to_owned());
    }

    /// Answers only requests with a token (`REQUIRE_SIGNIN_VIEW` of Gitea and Forgejo).
    pub fn require_sign_in(&self) {
        self.state.forge.change(|forge| forge.sign_in = true);
    }

    /// Limits the entries per page, whatever the request's limit.
    pub fn set_page_max(&self, entries: usize) {
        self.state.forge.change(|forge| forge.page_max = entries);
    }

    /// Sets the start of all addresses in answers, as on a server behind a proxy.
    pub fn set_root_url(&self, base: &str) {
        self.state.forge.change(|forge| base.clone_into(&mut forge.root_url));
    }

    /// Serves the repositories of `git` at this server's address too. The branches of projects that have one are its branches:
    /// a push moves the heads of pull requests, and merging one changes its base.
    pub fn serve_git(&self, git: &GitServer) {
        let shared = git.shared_state();
        self.state.forge.change(|forge| forge.repositories = Some(shared.root().to_owned()));
        self.state.git.change(|served| *served = Some(shared));
    }

    /// Injects a fault into the next request.
    pub fn fail_next(&self, fault: Fault) {
        self.fail_at("", fault);
    }

    /// Answers the next request with this status and body.
    pub fn answer_next(&self, status: u16, body: &str) {
        self.fail_next(Fault::Answer { status, headers: Vec::new(), body: body.to_owned() });
    }

    /// Injects a fault into the next request whose method, path or query contains `part`, as in `POST /api/v4/projects`.
    pub fn fail_at(&self, part: &str, fault: Fault) {
        self.state.faults.change(|faults| faults.push((part.to_owned(), fault)));
    }

    /// The same for every such request, until [`recover`](Self::recover).
    pub fn fail_always(&self, part: &str, failure: Fault) {
        let part = part.to_owned();
        self.fail_when(move |request| request.contains(&part).then(|| failure.clone()));
    }

    /// Calls `failure` with the method and target of every request, until [`recover`](Self::recover). It may also change something
    /// before the request is carried out.
    pub fn fail_when(&self, failure: impl Fn(&str) -> Option<Fault> + Send + Sync + 'static) {
        self.state.outage.change(|outage| *outage = Some(Outage(Arc::new(failure))));
    }

    /// Requests succeed again.
    pub fn recover(&self) {
        self.state.outage.change(|outage| *outage = None);
        self.state.faults.change(Vec::clear);
    }

    /// Asks `is_alive` before a request that may change something is carried out, and afterwards. One of a dead client is neither
    /// carried out nor answered.
    pub fn set_gate(&self, is_alive: impl Fn() -> bool + Send + Sync + 'static) {
        self.state.gate.change(|gate| *gate = Some(Gate(Arc::new(is_alive))));
    }

    /// All requests except those of git clients, in the order of arrival.
    pub fn requests(&self) -> Vec<ForgeRequest> {
        self.state.requests.read(Vec::clone)
    }

    /// The number of these requests.
    pub fn request_count(&self) -> usize {
        self.state.requests.read(Vec::len)
    }

    /// The number of those that were not answered yet.
    pub fn requests_in_progress(&self) -> usize {
        self.state.requests.read(|requests| requests.iter().filter(|request| request.status.is_none()).count())
    }

    /// Waits until `condition` is true for the requests so far, and returns them.
    ///
    /// # Panics
    /// Panics after [`crate::wait::DEADLINE`].
    pub async fn await_requests(&self, what: &str, condition: impl Fn(&[ForgeRequest]) -> bool) -> Vec<ForgeRequest> {
        self.state.requests.until(what, |requests| condition(requests).then(|| requests.clone())).await
    }
}
