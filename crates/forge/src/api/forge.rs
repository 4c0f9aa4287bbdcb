//! The face of a forge: what kugetsu asks of github, gitea, forgejo and gitlab alike.
//!
//! `github.rs`, `gitea.rs` and `gitlab.rs` implement it, and `open.rs` picks one of them.

use std::fmt::Debug;
use std::pin::Pin;

use kugetsu_domain::reference::{ForgeKind, ProjectPath, ServerBase};

use super::change::Change;
use super::error::ForgeError;
use super::issue::Issue;

/// An answer on its way.
pub type Asked<'a, T> = Pin<Box<dyn Future<Output = Result<T, ForgeError>> + Send + 'a>>;

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
    fn whoami(&self) -> Asked<'_, String>;

    /// What runs there. GitLab tells it only to those who bring a token.
    fn version(&self) -> Asked<'_, Version>;

    /// One issue. On GitHub, Gitea and Forgejo a change is an issue too; [`Issue::is_change`] tells.
    fn issue<'a>(&'a self, project: &'a ProjectPath, number: u64) -> Asked<'a, Issue>;

    /// One pull or merge request.
    fn change<'a>(&'a self, project: &'a ProjectPath, number: u64) -> Asked<'a, Change>;

    /// The changes whose head is `branch` of the project itself (not of a fork), the one changed last first. Closed and
    /// merged ones are among them.
    ///
    /// A server that cannot search by branch lists its changes, newest activity first, and only so many pages of them
    /// are read: a change that nobody has touched for long may be missed there.
    fn find_changes<'a>(&'a self, project: &'a ProjectPath, branch: &'a str) -> Asked<'a, Vec<Change>>;
}
