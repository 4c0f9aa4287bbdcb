//! Where a repository is cloned from (B4): `repos.json`, then the server by its host, then the default server, then
//! github.com.
//!
//! The last two stand in only where the address names no host. What was asked of one server is never looked for on
//! another. No private host is built in (R19).

use kugetsu_domain::reference::{ForgeKind, RepoRef, ServerBase};
use thiserror::Error;

use crate::address::Address;
use crate::clone_url::CloneUrl;
use crate::parser::parse;
use crate::repositories::Repositories;
use crate::servers::Servers;

/// The server of last resort.
const LAST_RESORT: &str = "https://github.com";

/// A repository and where it is cloned from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloneSource {
    /// The repository: what its issues belong to.
    pub repo: RepoRef,
    /// What serves it; none where the server has to be asked.
    pub kind: Option<ForgeKind>,
    /// What git clones; the clone URL says whether credentials were left out of it.
    pub clone_url: CloneUrl,
}

/// Why no place was found.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CloneSourceError {
    /// An ssh host that no server, or more than one, has.
    #[error(
        "cannot tell which server has the ssh host {host:?}, or two servers share it; \
         name the server in config.toml ([servers.<name>] url = \"https://{host}\"), or write the address of the page: \
         https://host/{project}"
    )]
    SshHost {
        /// The host, or the alias.
        host: String,
        /// The project there.
        project: String,
    },
    /// Something of GitLab's, while the default server is of another kind.
    #[error(
        "{address} can only be on a GitLab server, but the default server {server} is of the kind {}; \
         write the host in front of it",
        kind.name()
    )]
    Kind {
        /// What was asked for.
        address: String,
        /// The default server.
        server: ServerBase,
        /// Its kind.
        kind: ForgeKind,
    },
    /// A local repository whose directory nobody told.
    #[error("no directory is known for local/{name}; start the first issue inside it with `kugetsu start . <message>`")]
    NoDirectory {
        /// The repository's name.
        name: String,
    },
    /// The words of an address do not make a server's address.
    #[error(transparent)]
    Server(#[from] kugetsu_domain::reference::BadWord),
}

/// Finds where the repository of an address is cloned from.
///
/// An address that names the host of an ssh remote is cloned over ssh, since that is known to work; every other one over
/// the server's own scheme.
///
/// # Errors
/// Where the server cannot be told, or is of the wrong kind.
pub fn clone_source(
    address: &Address,
    repositories: &Repositories,
    servers: &Servers,
) -> Result<CloneSource, CloneSourceError> {
    let mapped = match address.repo() {
        Some(repo) => repositories.clone_url(&repo),
        None => repositories.clone_url_of_project(&address.project),
    };
    let (base, kind) = server(address, mapped, servers)?;
    let repo = RepoRef { base, project: address.project.clone() };
    // Only now the server of a bare address is known, and with it an entry that names the server.
    let clone_url = match repositories.clone_url(&repo) {
        Some(url) => url.clone(),
        None => usual_clone_url(address, &repo)?,
    };
    Ok(CloneSource { repo, kind, clone_url })
}

fn usual_clone_url(address: &Address, repo: &RepoRef) -> Result<CloneUrl, CloneSourceError> {
    match &address.ssh {
        Some(ssh) => Ok(CloneUrl::trusted(ssh.url.clone())),
        None if repo.base.is_local() => Err(CloneSourceError::NoDirectory { name: repo.project.to_string() }),
        None => Ok(CloneUrl::trusted(format!("{}/{}.git", repo.base, repo.project))),
    }
}

/// The server of an address: its own, the one that `repos.json` clones from, the default, github.com.
fn server(
    address: &Address,
    mapped: Option<&CloneUrl>,
    servers: &Servers,
) -> Result<(ServerBase, Option<ForgeKind>), CloneSourceError> {
    if let Some(base) = &address.base {
        return Ok((base.clone(), address.kind));
    }
    // An entry whose address belongs to no server (a path, an ssh alias) says only what to clone.
    let mapped = mapped.and_then(|url| parse(url.as_str(), &servers.known(), None).ok());
    if let Some((base, kind)) = mapped.and_then(|found| Some((found.base?, found.kind))) {
        return checked(address, base, kind);
    }
    if let Some(ssh) = &address.ssh {
        return Err(CloneSourceError::SshHost { host: ssh.host.clone(), project: address.project.to_string() });
    }
    match servers.default_server() {
        Some(server) => checked(address, server.base.clone(), server.kind),
        None => checked(address, ServerBase::new(LAST_RESORT)?, Some(ForgeKind::GitHub)),
    }
}

/// Only GitLab's kind follows from a bare address; `pull` and `pulls` are words that people mix up.
fn checked(
    address: &Address,
    base: ServerBase,
    kind: Option<ForgeKind>,
) -> Result<(ServerBase, Option<ForgeKind>), CloneSourceError> {
    match (address.kind, kind) {
        (Some(ForgeKind::GitLab), Some(kind)) if kind != ForgeKind::GitLab => {
            Err(CloneSourceError::Kind { address: address.to_string(), server: base, kind })
        }
        (told, kind) => Ok((base, kind.or(told))),
    }
}
