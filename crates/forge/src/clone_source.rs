//! Finds where a repository is cloned from: `repos.json`, then the server that the address names, then the default
//! server, then github.com.
//!
//! The last two apply only if the address names no host. A repository of one server is never looked for on another, and
//! no private host is built in.

use kugetsu_domain::reference::{ForgeKind, InvalidName, RepoRef, ServerBase};
use thiserror::Error;

use crate::kinds::table::dialect;
use crate::references::address::Address;
use crate::references::clone_url::CloneUrl;
use crate::references::parser::parse;
use crate::repositories::Repositories;
use crate::servers::Servers;

/// The default server if none is configured.
const LAST_RESORT: &str = "https://github.com";

/// A repository and where it is cloned from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloneSource {
    pub repo: RepoRef,
    /// `None` if it has to be detected.
    pub kind: Option<ForgeKind>,
    pub clone_url: CloneUrl,
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CloneSourceError {
    /// No server has this ssh host, or several have.
    #[error("the ssh host {host:?} belongs to no known server, or to several")]
    SshHost {
        /// May be an alias.
        host: String,
        project: String,
    },
    /// The form of the address belongs to another kind of server than the default server.
    #[error("{address} is an address of {}, but the default server {server} is {}", form.name(), kind.name())]
    Kind { address: String, form: ForgeKind, server: ServerBase, kind: ForgeKind },
    /// A local repository without a known directory.
    #[error("the directory of local/{name} is not known")]
    NoDirectory { name: String },
    #[error(transparent)]
    Server(#[from] InvalidName),
}

impl CloneSourceError {
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::SshHost { host, project } => Some(format!(
                "add its server with `kugetsu server add <name> https://{host}`, or write the address of the page: \
                 https://{host}/{project}"
            )),
            Self::Kind { .. } => Some("write the host before the project".to_owned()),
            Self::NoDirectory { .. } => {
                Some("start the first issue inside it with `kugetsu start . \"<message>\"`".to_owned())
            }
            Self::Server(_) => None,
        }
    }
}

/// Finds where the repository of an address is cloned from. An ssh address is cloned over ssh, because that is known to
/// work; any other one over the server's own scheme.
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
    // Again, because an entry that names the server applies to a bare address only now.
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

/// The server that the address names, the one that `repos.json` clones from, the default server, or github.com.
fn server(
    address: &Address,
    mapped: Option<&CloneUrl>,
    servers: &Servers,
) -> Result<(ServerBase, Option<ForgeKind>), CloneSourceError> {
    if let Some(base) = &address.base {
        return Ok((base.clone(), address.kind));
    }
    // An entry with the address of no server (a path, an ssh alias) names only what to clone.
    let mapped = mapped.and_then(|url| parse(url.as_str(), &servers.known(), None).ok());
    if let Some((base, kind)) = mapped.and_then(|mapped| Some((mapped.base?, mapped.kind))) {
        return check_kind(address, base, kind);
    }
    if let Some(ssh) = &address.ssh {
        return Err(CloneSourceError::SshHost { host: ssh.host.clone(), project: address.project.to_string() });
    }
    match servers.default_server() {
        Some(server) => check_kind(address, server.base.clone(), server.kind),
        None => check_kind(address, ServerBase::new(LAST_RESORT)?, servers.kind_of(LAST_RESORT)),
    }
}

/// Refuses a bare address whose form the server does not have.
fn check_kind(
    address: &Address,
    base: ServerBase,
    kind: Option<ForgeKind>,
) -> Result<(ServerBase, Option<ForgeKind>), CloneSourceError> {
    let (Some(form), Some(kind)) = (address.kind, kind) else { return Ok((base, kind.or(address.kind))) };
    match (dialect(form), dialect(kind)) {
        (Some(written), Some(server)) if !server.pages.accepts(&written.pages) => {
            Err(CloneSourceError::Kind { address: address.to_string(), form, server: base, kind })
        }
        _ => Ok((base, Some(kind))),
    }
}
