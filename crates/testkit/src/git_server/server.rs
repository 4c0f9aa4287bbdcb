//! The git server as a test holds it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::handler::{Desk, Faults};
use super::record::GitRequest;
use crate::local_server::LocalServer;
use crate::repository::work::Repository;
use crate::watched::Watched;

/// A running git server on a free port of 127.0.0.1; dropping it stops it and removes its repositories.
///
/// A client must bring the token: as password of any user, or as `authorization: token ...`. Who brings another one, or
/// none, is answered 401.
#[derive(Debug)]
pub struct GitServer {
    // Declared first, so dropped first: nothing is served from a directory that is being removed.
    server: LocalServer,
    desk: Arc<Desk>,
    _directory: TempDir,
}

impl GitServer {
    /// Starts a server without repositories that asks for `token`.
    pub fn start(token: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("kgg").tempdir().expect("a temporary directory");
        let desk = Arc::new(Desk {
            root: directory.path().canonicalize().expect("the path of the new directory"),
            token: Watched::new(token.to_owned()),
            requests: Watched::default(),
            faults: Watched::new(Faults::default()),
        });
        let server = LocalServer::start("git-server", Arc::clone(&desk).router());
        Self { server, desk, _directory: directory }
    }

    /// For instance `http://127.0.0.1:4711`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// Address of the project `owner/repo`, without a token.
    pub fn url(&self, project: &str) -> String {
        format!("{}/{project}.git", self.base_url())
    }

    /// Address of the project `owner/repo` with the token as password, for the test's own git.
    pub fn url_with_token(&self, project: &str) -> String {
        let token = self.desk.token.read(String::clone);
        format!("http://token:{token}@{}/{project}.git", self.server.address())
    }

    /// Adds an empty repository for the project `owner/repo`.
    pub fn add_repository(&self, project: &str) -> Repository {
        Repository::bare_at(self.directory_of(project))
    }

    /// Adds a repository with all branches and tags of `source`, and its current branch as the default one.
    pub fn add_repository_from(&self, project: &str, source: &Repository) -> Repository {
        let repository = self.add_repository(project);
        source.git(["push", "--quiet", &repository.url(), "refs/heads/*:refs/heads/*", "refs/tags/*:refs/tags/*"]);
        repository.set_default_branch(&source.current_branch());
        repository
    }

    /// The repository of the project `owner/repo`, as it lies on the server.
    pub fn repository(&self, project: &str) -> Repository {
        Repository::open(self.directory_of(project))
    }

    fn directory_of(&self, project: &str) -> PathBuf {
        self.desk.root.join(format!("{project}.git"))
    }

    /// Asks for another token from now on, as when one was revoked.
    pub fn set_token(&self, token: &str) {
        self.desk.token.change(|right| *right = token.to_owned());
    }

    /// Answers the next `count` requests with `status`, for instance 403.
    pub fn fail_next(&self, count: usize, status: u16) {
        self.desk.faults.change(|faults| faults.statuses.extend(std::iter::repeat_n(status, count)));
    }

    /// Leaves the next `count` requests without an answer, until the client gives up.
    pub fn hang_next(&self, count: usize) {
        self.desk.faults.change(|faults| faults.hangs += count);
    }

    /// Waits this long before every answer; zero ends it.
    pub fn set_delay(&self, delay: Duration) {
        self.desk.faults.change(|faults| faults.delay = delay);
    }

    /// Breaks the connection in the middle of the next `count` transfers (`POST`).
    pub fn drop_next(&self, count: usize) {
        self.desk.faults.change(|faults| faults.drops += count);
    }

    /// For a server that hands requests on.
    pub(crate) fn desk(&self) -> Arc<Desk> {
        Arc::clone(&self.desk)
    }

    /// Every request so far, in the order of arrival.
    pub fn requests(&self) -> Vec<GitRequest> {
        self.desk.requests.read(Vec::clone)
    }

    /// Waits until `condition` holds for all requests so far, and returns them.
    ///
    /// # Panics
    /// When it does not within [`crate::wait::DEADLINE`].
    pub async fn await_requests(&self, what: &str, condition: impl Fn(&[GitRequest]) -> bool) -> Vec<GitRequest> {
        self.desk.requests.until(what, |requests| condition(requests).then(|| requests.clone())).await
    }
}
