//! Reads what people type or paste: pages, API addresses, git's addresses, and the short forms that kugetsu prints.
//!
//! Nothing is asked of a server. An input that can be understood in two ways is refused, never guessed at.

use kugetsu_domain::reference::{ForgeKind, LOCAL, ProjectPath, ServerBase};

use crate::address::{Address, CurrentRepo, SshRemote, Target};
use crate::authority::Authority;
use crate::error::{AddressError, Fault};
use crate::known::{Known, KnownServer, Origin};
use crate::local::is_path_like;
use crate::page_path::{self, Layout};
use crate::path;
use crate::ssh::SshUrl;
use crate::suffix::Suffix;

/// Host of GitHub's API, which has the rest of an Enterprise server's API path below `/api/v3`.
const GITHUB_API_HOST: &str = "api.github.com";

/// Reads an address.
///
/// `servers` are those of the configuration; to read back every short form that was ever printed, pass those of the
/// stored issues too: a sub-path cannot be told from a group without them. `context` is the repository that the
/// person is in, for `#12`, `!3` and `owner/repo#12`.
///
/// # Errors
/// Says what is wrong with the input and which shapes are accepted; shows no user, password or query.
pub fn parse(input: &str, servers: &[KnownServer], context: Option<&CurrentRepo>) -> Result<Address, AddressError> {
    let here = context.filter(|context| !context.base.is_local());
    let here = here.map(|context| KnownServer { kind: context.kind, base: context.base.clone() });
    let known = Known::new(servers, here);
    read(input.trim(), &known, context).map_err(|fault| AddressError::new(input, fault))
}

fn read(input: &str, known: &Known, context: Option<&CurrentRepo>) -> Result<Address, Fault> {
    if input.is_empty() {
        return Err(Fault::Empty);
    }
    if is_path_like(input) {
        return Err(Fault::Path);
    }
    if input.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(Fault::Space);
    }
    if let Some((scheme, rest)) = input.split_once("://") {
        return match scheme.to_ascii_lowercase().as_str() {
            "https" => web(Some(true), rest, known),
            "http" => web(Some(false), rest, known),
            "git" => git(rest, known),
            "ssh" => over_ssh(SshUrl::from_url(rest)?, known),
            _ => Err(Fault::Scheme),
        };
    }
    if let Some(local) = input.strip_prefix(LOCAL).and_then(|rest| rest.strip_prefix('/')) {
        return without_server(local);
    }
    if input.starts_with(['#', '!']) {
        return number_alone(input, context);
    }
    match SshUrl::from_scp(input) {
        Some(ssh) => over_ssh(ssh?, known),
        None if begins_with_host(input, known) => web(None, input, known),
        None => without_host(input, context),
    }
}

/// `host[:port]/path[?query][#fragment]`, behind a scheme or without one.
fn web(https: Option<bool>, rest: &str, known: &Known) -> Result<Address, Fault> {
    let suffix = Suffix::split(rest)?;
    let (authority, path) = suffix.path.split_once('/').unwrap_or((suffix.path, ""));
    let authority = Authority::read(authority)?;
    let mut path = path::decoded(path)?;
    let mut origin = Origin::new(https, &authority.host, authority.port);
    if origin.host == GITHUB_API_HOST {
        origin.host = "github.com".to_owned();
        path.splice(0..0, ["api".to_owned(), "v3".to_owned()]);
    }
    let server = known.longest(&origin, &path);
    let (layout, server_parts) = match server {
        Some((server, parts)) => (server.kind.map_or(Layout::Project, Layout::Kind), parts),
        None => (Layout::Anything, 0),
    };
    let short = suffix.short(https.is_none())?;
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
        comment: suffix.comment().filter(|_| page.target != Target::Repo),
        ssh: None,
        credentials_dropped: authority.user.is_some() || suffix.had_query,
    })
}

/// git's own protocol has no pages: the server is the one with that host, or https there.
fn git(rest: &str, known: &Known) -> Result<Address, Fault> {
    let (place, path) = rest.split_once('/').unwrap_or((rest, ""));
    let authority = Authority::read(place)?;
    let server = known.by_host(authority.bare_host());
    let layout = server.map_or(Layout::Anything, |server| server.kind.map_or(Layout::Project, Layout::Kind));
    let page = page_path::read(&path::decoded(path)?, layout, None)?;
    if page.target != Target::Repo {
        return Err(Fault::OtherPage);
    }
    let base = match server {
        Some(server) => server.base.clone(),
        None => Origin::new(Some(true), &authority.host, None).server(&[])?,
    };
    let credentials_dropped = authority.user.is_some();
    Ok(Address { credentials_dropped, ..plain(page.kind, Some(base), page.project, page.target) })
}

fn over_ssh(ssh: SshUrl, known: &Known) -> Result<Address, Fault> {
    let host = ssh.authority.bare_host();
    let server = known.by_host(host);
    let kind = server.and_then(|server| server.kind);
    let project = page_path::repository(&ssh.path, kind)?;
    Ok(Address {
        // Only a known server's path is the project's; elsewhere it may be any directory.
        kind: kind.or(server.and_then(|_| page_path::kind_by_parts(&project))),
        base: server.map(|server| server.base.clone()),
        project,
        target: Target::Repo,
        comment: None,
        credentials_dropped: ssh.authority.has_password,
        ssh: Some(SshRemote { host: host.to_owned(), port: ssh.authority.port, url: ssh.url }),
    })
}

/// `local/<name>#1`, the short form of a repository without a server.
fn without_server(rest: &str) -> Result<Address, Fault> {
    let suffix = Suffix::split(rest)?;
    let name = suffix.path.trim_end_matches('/').trim_end_matches(".git");
    if name.contains('/') {
        return Err(Fault::LocalName);
    }
    let target = match suffix.short(true)? {
        Some(Target::PullRequest(_)) => return Err(Fault::NotGitLab),
        short => short.unwrap_or(Target::Repo),
    };
    let project = ProjectPath::new(name).map_err(Fault::Project)?;
    Ok(plain(Some(ForgeKind::Local), Some(ServerBase::local()), project, target))
}

/// `#12` and `!3`.
fn number_alone(input: &str, context: Option<&CurrentRepo>) -> Result<Address, Fault> {
    let target = Suffix::split(input)?.short(true)?.ok_or(Fault::NumberMissing)?;
    let context = context.ok_or(Fault::NoContext)?;
    let (kind, base, project) = (context.kind, Some(context.base.clone()), context.project.clone());
    if context.base.is_local() {
        let local = Some(ForgeKind::Local);
        return if matches!(target, Target::Issue(_)) {
            Ok(plain(local, base, project, target))
        } else {
            Err(Fault::NotGitLab)
        };
    }
    let parts: Vec<_> = project.as_str().split('/').map(str::to_owned).collect();
    let page = page_path::read(&parts, kind.map_or(Layout::Project, Layout::Kind), Some(target))?;
    Ok(plain(page.kind, base, page.project, page.target))
}

/// `owner/repo#12`, and the path of a page without its host.
fn without_host(input: &str, context: Option<&CurrentRepo>) -> Result<Address, Fault> {
    let suffix = Suffix::split(input)?;
    let path = path::decoded(suffix.path)?;
    // Nobody writes an owner's name encoded; `git%2eexample/a/b` would turn into a host when it is shown.
    if suffix.path.split('/').next().is_some_and(|first| first.contains('%')) {
        return Err(Fault::Encoding);
    }
    let context = context.filter(|context| !context.base.is_local());
    let layout = context.and_then(|context| context.kind).map_or(Layout::Project, Layout::Kind);
    if page_path::is_api(&path) {
        return Err(Fault::Host);
    }
    let page = page_path::read(&path, layout, suffix.short(true)?)?;
    Ok(Address {
        comment: suffix.comment().filter(|_| page.target != Target::Repo),
        credentials_dropped: suffix.had_query,
        ..plain(page.kind, context.map(|context| context.base.clone()), page.project, page.target)
    })
}

fn plain(kind: Option<ForgeKind>, base: Option<ServerBase>, project: ProjectPath, target: Target) -> Address {
    Address { kind, base, project, target, comment: None, ssh: None, credentials_dropped: false }
}

/// Whether an input without a scheme begins with a host: a known one, one with a port, or a dotted name with a
/// project behind it. `some.owner/repo` has too few parts for that.
fn begins_with_host(input: &str, known: &Known) -> bool {
    let path = input.split(['?', '#', '!']).next().unwrap_or_default();
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    let host = first.rsplit('@').next().unwrap_or_default();
    let read = Authority::read(host);
    // What no host can be called, such as `.up`, is an owner's name.
    let dotted = read.is_ok() && host.contains('.') && rest.contains('/');
    let name = read.map(|authority| authority.host).unwrap_or_default();
    known.has_host(&name) || host.contains(':') || host == "localhost" || dotted
}
