//! The parsed form of an address, and its text.

use std::fmt;

use kugetsu_domain::reference::{ForgeKind, IssueRef, LOCAL, ProjectPath, RepoRef, ServerBase};

use crate::kinds::dialect::PageKind;
use crate::kinds::table::{dialect, dialects};

/// A repository, issue or pull request, as an address names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The kind of its server, if the server is known or the form of the address shows it.
    pub kind: Option<ForgeKind>,
    /// `None` for a bare `owner/repo#12`, and for an ssh host of no known server.
    pub base: Option<ServerBase>,
    pub project: ProjectPath,
    pub target: Target,
    /// The server's id of the comment that the address points to.
    pub comment: Option<u64>,
    /// Set if the address is one for git over ssh.
    pub ssh: Option<SshRemote>,
    /// Whether the input contained a user, a password or a query, which are not kept.
    pub credentials_dropped: bool,
}

/// The part of a project that an address names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Where issues and pull requests share their numbers, only the server knows whether this is a pull request.
    Issue(u64),
    PullRequest(u64),
    Repo,
}

/// A repository as git reaches it over ssh. Neither host nor port show where the server's pages are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshRemote {
    /// A host, or an alias of the ssh configuration. An IPv6 address has no brackets.
    pub host: String,
    pub port: Option<u16>,
    /// The address for git as typed, without a password. `host:path` and `ssh://host/path` can mean different paths on a
    /// server, so neither is converted to the other.
    pub url: String,
}

/// The repository that the user is in, which completes `#12` and `owner/repo#12`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CurrentRepo {
    pub kind: Option<ForgeKind>,
    /// May be `local`.
    pub base: ServerBase,
    pub project: ProjectPath,
}

impl Address {
    /// The repository, if the server is known.
    pub fn repo(&self) -> Option<RepoRef> {
        Some(RepoRef { base: self.base.clone()?, project: self.project.clone() })
    }

    /// The issue, if the address names one and the server is known.
    pub fn issue(&self) -> Option<IssueRef> {
        match self.target {
            Target::Issue(number) => Some(IssueRef { repo: self.repo()?, number }),
            Target::PullRequest(_) | Target::Repo => None,
        }
    }
}

/// The address of the page, or a short form if the server is missing. Parsing it gives the same address again, if the known
/// servers and the current repository are the same.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(ssh) = &self.ssh {
            return f.write_str(&ssh.url);
        }
        match &self.base {
            Some(base) if base.is_local() => write!(f, "{LOCAL}/{}", self.project)?,
            Some(base) => write!(f, "{base}/{}", self.project)?,
            None => write!(f, "{}", self.project)?,
        }
        let (page, number) = match self.target {
            Target::Repo => return Ok(()),
            Target::Issue(number) => (PageKind::Issue, number),
            Target::PullRequest(number) => (PageKind::PullRequest, number),
        };
        // An unknown kind is possible for issues only, whose addresses most kinds write alike.
        let Some(dialect) = self.kind.and_then(dialect).or_else(|| dialects().next()) else { return Ok(()) };
        let pages = &dialect.pages;
        let is_bare = self.comment.is_none() && self.base.as_ref().is_none_or(ServerBase::is_local);
        match (page, pages.pull_request_sign) {
            // With a sign for pull requests, `#12` does not show the kind.
            (PageKind::Issue, None) if is_bare => return write!(f, "#{number}"),
            (PageKind::PullRequest, Some(sign)) if is_bare => return write!(f, "{sign}{number}"),
            _ => f.write_str(&pages.path(page, number))?,
        }
        match (self.comment, pages.comment_anchors.first()) {
            (Some(id), Some(anchor)) => write!(f, "#{anchor}{id}"),
            _ => Ok(()),
        }
    }
}
