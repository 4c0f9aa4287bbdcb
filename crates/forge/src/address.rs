//! An address: what somebody typed, as words of the domain.
//!
//! Reading is the parser's work. Here is only what it yields, and how that is written so that it reads back the same.

use std::fmt;

use kugetsu_domain::reference::{ForgeKind, IssueRef, LOCAL, ProjectPath, RepoRef, ServerBase};

/// What somebody typed, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The kind of server, where the servers known or the shape of the address tell.
    pub kind: Option<ForgeKind>,
    /// The server; absent for a bare `owner/repo#12` and for an ssh host that belongs to no known server.
    pub base: Option<ServerBase>,
    /// The project on that server.
    pub project: ProjectPath,
    /// Which thing of the project.
    pub target: Target,
    /// The comment that the address points at, by its id on the server.
    pub comment: Option<u64>,
    /// How the repository is reached, where the address is one for git over ssh.
    pub ssh: Option<SshRemote>,
    /// Whether the input held a user, a password or a query, which are not kept. Whoever shows the address can hint
    /// at `kugetsu env set` or a credential helper.
    pub credentials_dropped: bool,
}

impl Address {
    /// The repository, where the server is known.
    pub fn repo(&self) -> Option<RepoRef> {
        Some(RepoRef { base: self.base.clone()?, project: self.project.clone() })
    }

    /// The issue, where the address names one and the server is known.
    pub fn issue(&self) -> Option<IssueRef> {
        match self.target {
            Target::Issue(number) => Some(IssueRef { repo: self.repo()?, number }),
            Target::PullRequest(_) | Target::Repo => None,
        }
    }
}

/// Which thing of a project an address names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// An issue by its number. On GitHub, Gitea and Forgejo issues and pull requests share their numbers, so this may
    /// turn out to be a pull request; only the server can tell.
    Issue(u64),
    /// A pull or merge request by its number.
    PullRequest(u64),
    /// The repository itself.
    Repo,
}

/// A repository as git reaches it over ssh. Neither host nor port say where the server's pages are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshRemote {
    /// The host, or an alias from the ssh configuration; an IPv6 address without brackets.
    pub host: String,
    /// The port, where the address names one.
    pub port: Option<u16>,
    /// The address that git takes, as it was typed but without a password. `host:path` and `ssh://host/path` are not
    /// the same to every server, so neither is turned into the other.
    pub url: String,
}

/// The repository that somebody is in: what `#12` and `owner/repo#12` belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CurrentRepo {
    /// The kind of its server, where known.
    pub kind: Option<ForgeKind>,
    /// Its server, or `local`.
    pub base: ServerBase,
    /// Its project.
    pub project: ProjectPath,
}

/// The page's own address, or a short form where the server is absent; reads back as the same address, given the same
/// servers and context.
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
        let gitlab = self.kind == Some(ForgeKind::GitLab);
        let bare = self.comment.is_none() && self.base.as_ref().is_none_or(ServerBase::is_local);
        match self.target {
            Target::Repo => return Ok(()),
            Target::Issue(number) if bare && !gitlab => return write!(f, "#{number}"),
            Target::PullRequest(number) if bare && gitlab => return write!(f, "!{number}"),
            Target::Issue(number) if gitlab => write!(f, "/-/issues/{number}")?,
            Target::Issue(number) => write!(f, "/issues/{number}")?,
            Target::PullRequest(number) if gitlab => write!(f, "/-/merge_requests/{number}")?,
            Target::PullRequest(number) if self.kind == Some(ForgeKind::GitHub) => write!(f, "/pull/{number}")?,
            Target::PullRequest(number) => write!(f, "/pulls/{number}")?,
        }
        match self.comment {
            Some(id) if gitlab => write!(f, "#note_{id}"),
            Some(id) => write!(f, "#issuecomment-{id}"),
            None => Ok(()),
        }
    }
}
