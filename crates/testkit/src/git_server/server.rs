//! The git server as tests use it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::handler::{Faults, ServerState};
use super::request::GitRequest;
use crate::local_server::LocalServer;
use crate::repository::temporary::Repository;
use crate::watched::Watched;

/// A git server on a free port of 127.0.0.1. Dropping it stops it and removes its repositories.
///
/// A client must send the token as the password of any user or as `authorization: token ...`; otherwise the answer is
/// 401.
#[derive(Debug)]
pub struct GitServer {
    // Declared first, so that it is dropped before the directory that it serves.
    server: LocalServer,
    state: Arc<ServerState>,
    _directory: TempDir,
}

impl GitServer {
    /// Starts a server without repositories that requires `token`.
    pub fn start(token: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("kgg").tempdir().expect("a temporary directory");
        let state = Arc::new(ServerState {
            root: directory.path().canonicalize().expect("the path of the new directory"),
            token: Watched::new(token.to_owned()),
            requests: Watched::default(),
            faults: Watched::new(Faults::default()),
        });
        let server = LocalServer::start("git-server", Arc::clone(&state).router());
        Self { server, state, _directory: directory }
    }

    /// For example `http://127.0.0.1:4711`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// Address of the project `owner/repo`, without a token.
    pub fn url(&self, project: &str) -> String {
        format!("{}/{project}.git", self.base_url())
    }

    /// Address of the project `owner/repo` with the token as password, for the test's own git.
    pub fn url_with_token(&self, project: &str) -> String {
        let token = self.state.token.read(String::clone);
        format!("http://token:{token}@{}/{project}.git", self.server.address())
    }

    /// Adds an empty repository for the project `owner/repo`.
    pub fn add_repository(&self, project: &str) -> Repository {
        Repository::bare_at(self.directory_of(project))
    }

    /// Adds a repository with all branches and tags of `source`, whose current branch becomes the default.
    pub fn add_repository_from(&self, project: &str, source: &Repository) -> Repository {
        let repository = self.add_repository(project);
        source.git(["push", "--quiet", &repository.url(), "refs/heads/*:refs/heads/*", "refs/tags/*:refs/tags/*"]);
        repository.set_default_branch(&source.current_branch());
        repository
    }

    /// The server's repository of the project `owner/repo`.
    pub fn repository(&self, project: &str) -> Repository {
        Repository::open(self.directory_of(project))
    }

    fn directory_of(&self, project: &str) -> PathBuf {
        self.state.root.join(format!("{project}.git"))
    }

    /// Requires another token from now on.
    pub fn set_token(&self, token: &str) {
        self.state.token.change(|valid| *valid = token.to_owned());
    }

    /// Answers the next `count` requests with `status`, for example 403.
    pub fn fail_next(&self, count: usize, status: u16) {
        self.state.faults.change(|faults| faults.statuses.extend(std::iter::repeat_n(status, count)));
    }

    /// Never answers the next `count` requests.
    pub fn hang_next(&self, count: usize) {
        self.state.faults.change(|faults| faults.hangs += count);
    }

    /// Waits this long before every answer.
    pub fn set_delay(&self, delay: Duration) {
        self.state.faults.change(|faults| faults.delay = delay);
    }

    /// Breaks the connection in the middle of the next `count` transfers (`POST`).
    pub fn drop_next(&self, count: usize) {
        self.state.faults.change(|faults| faults.drops += count);
    }

    /// For a server that passes requests on to this one.
    pub(crate) fn shared_state(&self) -> Arc<ServerState> {
        Arc::clone(&self.state)
    }

    /// All requests so far, in the order of arrival.
    pub fn requests(&self) -> Vec<GitRequest> {
        self.state.requests.read(Vec::clone)
    }

    /// Waits until `condition` is true for the requests so far, and returns them.
    ///
    /// # Panics
    /// Panics after [`crate::wait::DEADLINE`].
    pub async fn await_requests(&self, what: &str, condition: impl Fn(&[GitRequest]) -> bool) -> Vec<GitRequest> {
        self.state.requests.until(what, |requests| condition(requests).then(|| requests.clone())).await
    }
}
