//! Parses what users type or paste: addresses of pages, of the API and for git, and the short forms that kugetsu prints.
//!
//! No request is sent. An ambiguous input is refused, never guessed at.

use kugetsu_domain::reference::{ForgeKind, LOCAL, ProjectPath, ServerBase};

use super::address::{Address, CurrentRepo, SshRemote, Target};
use super::error::{AddressError, Expected, Reason};
use super::local::is_path_like;
use super::page_path::{self, Layout};
use super::server_index::{KnownServer, Origin, ServerIndex};
use super::ssh::SshUrl;
use super::suffix::{Suffixed, is_pull_request_sign};
use super::url_parts::{Authority, decode_path};
use crate::kinds::table::public_servers;

/// Parses an address.
///
/// `servers` are the configured ones. To parse every short form that was ever printed, add those of the stored issues: a
/// server's own path cannot be distinguished from a group otherwise. `current` is the repository that the user is in; it
/// completes `#12`, `!3` and `owner/repo#12`.
///
/// # Errors
/// [`AddressError`]; it shows no user, password or query.
pub fn parse(input: &str, servers: &[KnownServer], current: Option<&CurrentRepo>) -> Result<Address, AddressError> {
    let current_server = current
        .filter(|current| !current.base.is_local())
        .map(|current| KnownServer { kind: current.kind, base: current.base.clone() });
    let index = ServerIndex::new(servers, current_server);
    read(input.trim(), &index, current).map_err(|reason| AddressError::new(input, reason, Expected::Reference))
}

/// Whether the current repository can make a difference to [`parse`], as for `#12` and for `owner/repo#12`, whose first
/// part is not a host.
pub fn needs_current_repo(input: &str) -> bool {
    let names_host = |first: &str| first.contains(['.', ':']);
    is_number_alone(input)
        || !(input.contains("://") || local_suffix(input).is_some() || input.split('/').next().is_some_and(names_host))
}

fn read(input: &str, index: &ServerIndex, current: Option<&CurrentRepo>) -> Result<Address, Reason> {
    if input.is_empty() {
        return Err(Reason::Empty);
    }
    if is_path_like(input) {
        return Err(Reason::Path);
    }
    if input.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(Reason::Space);
    }
    if let Some((scheme, rest)) = input.split_once("://") {
        return match scheme.to_ascii_lowercase().as_str() {
            "https" => web(Some(true), rest, index),
            "http" => web(Some(false), rest, index),
            "git" => git(rest, index),
            "ssh" => from_ssh(SshUrl::from_url(rest)?, index),
            _ => Err(Reason::Scheme),
        };
    }
    if let Some(rest) = local_suffix(input) {
        return local(rest);
    }
    if is_number_alone(input) {
        return number_alone(input, current);
    }
    match SshUrl::from_scp(input) {
        Some(ssh) => from_ssh(ssh?, index),
        None if begins_with_host(input, index) => web(None, input, index),
        None => without_host(input, current),
    }
}

fn is_number_alone(input: &str) -> bool {
    input.starts_with(|c| c == '#' || is_pull_request_sign(c))
}

/// The rest of the input after `local/`.
fn local_suffix(input: &str) -> Option<&str> {
    input.strip_prefix(LOCAL)?.strip_prefix('/')
}

/// `host[:port]/path[?query][#fragment]`, after a scheme or without one.
fn web(https: Option<bool>, rest: &str, index: &ServerIndex) -> Result<Address, Reason> {
    let suffixed = Suffixed::split(rest)?;
    let (authority, path) = suffixed.path.split_once('/').unwrap_or((suffixed.path, ""));
    let authority = Authority::parse(authority)?;
    let mut path = decode_path(path)?;
    let mut origin = Origin::new(https, &authority.host, authority.port);
    if let Some((host, root)) = public_api(&origin.host) {
        origin.host = host.to_owned();
        path.splice(0..0, root.split('/').map(str::to_owned));
    }
    let server = index.longest_match(&origin, &path);
    let (layout, server_parts) = match server {
        Some((server, parts)) => (Layout::of(server.kind), parts),
        None => (Layout::Unknown, 0),
    };
    let short = suffixed.target(https.is_none())?;
    let page = page_path::read(&path[server_parts..], layout, short)?;
    let base = match server {
        Some((server, _)) => server.base.clone(),
        None => origin.server(&path[..page.server_parts])?,
    };
    Ok(Address {
        kind: page.kind,
        base: Some(base),
        project: page.project,
        target: page.target,
        comment: suffixed.comment().filter(|_| page.target != Target::Repo),
        ssh: None,
        credentials_dropped: authority.user.is_some() || suffixed.had_query,
    })
}

/// If this is the host of a public server's API, returns the host of its pages, and the path of the API on other servers
/// of the kind.
pub(crate) fn public_api(host: &str) -> Option<(&'static str, &'static str)> {
    let without_scheme = |address: &'static str| address.split_once("://").map_or(address, |(_, host)| host);
    let mut servers = public_servers();
    servers.find_map(|(dialect, server)| {
        let is_api = server.api.is_some_and(|api| without_scheme(api) == host);
        is_api.then(|| (without_scheme(server.base), dialect.api.root))
    })
}

/// An address of git's own protocol, which has no pages: the server is the one with that host, or https there.
fn git(rest: &str, index: &ServerIndex) -> Result<Address, Reason> {
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let authority = Authority::parse(authority)?;
    let server = index.by_ssh_host(authority.bare_host());
    let layout = server.map_or(Layout::Unknown, |server| Layout::of(server.kind));
    let page = page_path::read(&decode_path(path)?, layout, None)?;
    if page.target != Target::Repo {
        return Err(Reason::OtherPage);
    }
    let base = match server {
        Some(server) => server.base.clone(),
        None => Origin::new(Some(true), &authority.host, None).server(&[])?,
    };
    let credentials_dropped = authority.user.is_some();
    Ok(Address { credentials_dropped, ..plain(page.kind, Some(base), page.project, page.target) })
}

fn from_ssh(ssh: SshUrl, index: &ServerIndex) -> Result<Address, Reason> {
    let host = ssh.authority.bare_host();
    let server = index.by_ssh_host(host);
    let kind = server.and_then(|server| server.kind);
    let project = page_path::repository(&ssh.path, kind)?;
    Ok(Address {
        // Only the path on a known server is a project; elsewhere it may be any directory.
        kind: kind.or(server.and_then(|_| page_path::kind_by_parts(&project))),
        base: server.map(|server| server.base.clone()),
        project,
        target: Target::Repo,
        comment: None,
        credentials_dropped: ssh.authority.has_password,
        ssh: Some(SshRemote { host: host.to_owned(), port: ssh.authority.port, url: ssh.url }),
    })
}

/// `<name>#1` after `local/`.
fn local(rest: &str) -> Result<Address, Reason> {
    let suffixed = Suffixed::split(rest)?;
    let name = suffixed.path.trim_end_matches('/').trim_end_matches(".git");
    if name.contains('/') {
        return Err(Reason::LocalName);
    }
    let target = match suffixed.target(true)? {
        Some(Target::PullRequest(_)) => return Err(Reason::PullRequestSign),
        short => short.unwrap_or(Target::Repo),
    };
    let project = ProjectPath::new(name).map_err(Reason::Project)?;
    Ok(plain(Some(ForgeKind::Local), Some(ServerBase::local()), project, target))
}

/// `#12` and `!3`.
fn number_alone(input: &str, current: Option<&CurrentRepo>) -> Result<Address, Reason> {
    let target = Suffixed::split(input)?.target(true)?.ok_or(Reason::NumberMissing)?;
    let current = current.ok_or(Reason::NoCurrentRepo)?;
    let (kind, base, project) = (current.kind, Some(current.base.clone()), current.project.clone());
    if current.base.is_local() {
        return match target {
            Target::Issue(_) => Ok(plain(Some(ForgeKind::Local), base, project, target)),
            Target::PullRequest(_) | Target::Repo => Err(Reason::PullRequestSign),
        };
    }
    let parts: Vec<_> = project.as_str().split('/').map(str::to_owned).collect();
    let page = page_path::read(&parts, Layout::of(kind), Some(target))?;
    Ok(plain(page.kind, base, page.project, page.target))
}

/// `owner/repo#12`, or the path of a page without its host.
fn without_host(input: &str, current: Option<&CurrentRepo>) -> Result<Address, Reason> {
    let suffixed = Suffixed::split(input)?;
    let path = decode_path(suffixed.path)?;
    // Owners are never typed encoded, and decoding `git%2eexample/a/b` would turn its owner into a host.
    if suffixed.path.split('/').next().is_some_and(|first| first.contains('%')) {
        return Err(Reason::Encoding);
    }
    let current = current.filter(|current| !current.base.is_local());
    let layout = Layout::of(current.and_then(|current| current.kind));
    if page_path::is_api(&path) {
        return Err(Reason::Host);
    }
    let page = page_path::read(&path, layout, suffixed.target(true)?)?;
    Ok(Address {
        comment: suffixed.comment().filter(|_| page.target != Target::Repo),
        credentials_dropped: suffixed.had_query,
        ..plain(page.kind, current.map(|current| current.base.clone()), page.project, page.target)
    })
}

fn plain(kind: Option<ForgeKind>, base: Option<ServerBase>, project: ProjectPath, target: Target) -> Address {
    Address { kind, base, project, target, comment: None, ssh: None, credentials_dropped: false }
}

/// Whether an input without a scheme begins with a host: a known one, one with a port, or a dotted name before a project.
/// `some.owner/repo` has too few parts for that.
fn begins_with_host(input: &str, index: &ServerIndex) -> bool {
    let path = input.split(|c| matches!(c, '?' | '#') || is_pull_request_sign(c)).next().unwrap_or_default();
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    let host = first.rsplit('@').next().unwrap_or_default();
    let authority = Authority::parse(host);
    // A dotted name that cannot be a host, such as `.up`, is an owner.
    let is_dotted = authority.is_ok() && host.contains('.') && rest.contains('/');
    let name = authority.map(|authority| authority.host).unwrap_or_default();
    index.has_host(&name) || host.contains(':') || host == "localhost" || is_dotted
}
