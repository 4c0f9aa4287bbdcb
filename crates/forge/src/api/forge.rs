//! The face of a forge: what kugetsu asks of github, gitea, forgejo and gitlab alike.
//!
//! `github.rs`, `gitea.rs` and `gitlab.rs` implement it, and `open.rs` picks one of them.

use std::fmt::Debug;
use std::pin::Pin;

use kugetsu_domain::reference::{ForgeKind, ProjectPath, ServerBase};

use super::error::ForgeError;
use super::issue::Issue;
use super::pull_request::PullRequest;
use crate::address::{Address, Target};

/// An answer on its way.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, ForgeError>> + Send + 'a>>;

/// What runs on a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The program. A Forgejo that was configured as a Gitea says so here, and the other way round.
    pub kind: ForgeKind,
    /// Its version as it writes it; none for github.com, which has none.
    pub text: Option<String>,
}

/// A server's issues and changes, as one login sees them.
///
/// Every call may wait and ask again within [`Limits`](super::http::limits::Limits), and can be dropped at any time:
/// none of them changes anything on the server.
pub trait Forge: Debug + Send + Sync {
    /// The server whose pages belong to this API.
    fn server(&self) -> &ServerBase;

    /// The kind that it was opened as.
    fn kind(&self) -> ForgeKind;

    /// The name of the user whom the token belongs to.
    fn whoami(&self) -> BoxFuture<'_, String>;

    /// What runs there. GitLab tells it only to those who bring a token.
    fn version(&self) -> BoxFuture<'_, Version>;

    /// One issue. On GitHub, Gitea and Forgejo a change is an issue too; [`Issue::is_pull_request`] tells.
    fn issue<'a>(&'a self, project: &'a ProjectPath, number: u64) -> BoxFuture<'a, Issue>;

    /// One pull or merge request.
    fn pull_request<'a>(&'a self, project: &'a ProjectPath, number: u64) -> BoxFuture<'a, PullRequest>;

    /// The changes whose head is `branch` of the project itself (not of a fork), the one changed last first. Closed and
    /// merged ones are among them.
    ///
    /// A server that cannot search by branch lists its changes, newest activity first, and only so many pages of them
    /// are read: a change that nobody has touched for long may be missed there.
    fn find_pull_requests<'a>(&'a self, project: &'a ProjectPath, branch: &'a str) -> BoxFuture<'a, Vec<PullRequest>>;
}

/// Asks for the change at `address`, as [`parse`](crate::parser::parse) has read it.
///
/// The address of an issue will do where issues and changes share their numbers, if a change has that number.
///
/// # Errors
/// The address is on another server or names something else than a change; or as [`Forge::change`].
pub async fn pull_request_at(forge: &dyn Forge, address: &Address) -> Result<PullRequest, ForgeError> {
    if address.base.as_ref().is_none_or(|base| base != forge.server()) {
        let server = forge.server().to_string();
        return Err(ForgeError::OtherServer { address: address.to_string(), server });
    }
    let not_a_pull_request = || ForgeError::NotAPullRequest { address: address.to_string() };
    match address.target {
        Target::PullRequest(number) => forge.pull_request(&address.project, number).await,
        Target::Issue(number) if forge.kind() != ForgeKind::GitLab => {
            let asked = forge.pull_request(&address.project, number).await;
            asked.map_err(
                |error| if matches!(error, ForgeError::NotFound { .. }) { not_a_pull_request() } else { error },
            )
        }
        Target::Issue(_) | Target::Repo => Err(not_a_pull_request()),
    }
}
