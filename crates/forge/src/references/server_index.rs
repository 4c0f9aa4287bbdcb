//! The servers that an address is matched against: the configured ones and the public ones.

use kugetsu_domain::reference::{ForgeKind, ProjectPath, ServerBase};

use super::error::Reason;
use super::url_parts::Authority;
use crate::kinds::table::public_servers;

/// A server that is known before an address is parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownServer {
    pub kind: Option<ForgeKind>,
    pub base: ServerBase,
}

/// Scheme, host and port of a web address, normalized: no default port, no leading `www.`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// `None` if the address was typed without a scheme.
    pub(crate) https: Option<bool>,
    pub(crate) host: String,
    /// `None` for the default port of the scheme.
    pub(crate) port: Option<u16>,
}

impl Origin {
    pub(crate) fn new(https: Option<bool>, host: &str, port: Option<u16>) -> Self {
        let (https, port) = match (https, port) {
            (None | Some(true), Some(443)) => (Some(true), None),
            (None | Some(false), Some(80)) => (Some(false), None),
            other => other,
        };
        let mut host = host;
        while let Some(rest) = host.strip_prefix("www.").filter(|rest| rest.contains('.')) {
            host = rest;
        }
        Self { https, host: host.to_owned(), port }
    }

    /// The text of the origin, with https if the input had no scheme.
    fn to_url(&self) -> String {
        let scheme = if self.https == Some(false) { "http" } else { "https" };
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("{scheme}://{}{port}", self.host)
    }

    /// The server whose pages begin at `path`.
    pub(crate) fn server(&self, path: &[String]) -> Result<ServerBase, Reason> {
        if path.is_empty() {
            return ServerBase::new(self.to_url()).map_err(Reason::Server);
        }
        // A server's path consists of the same characters as a project's.
        let path = ProjectPath::new(path.join("/")).map_err(Reason::Project)?;
        ServerBase::new(format!("{}/{path}", self.to_url())).map_err(Reason::Server)
    }

    fn matches(&self, known: &Self) -> bool {
        self.host == known.host && self.port == known.port && (self.https.is_none() || self.https == known.https)
    }
}

/// All servers that are known while an address is parsed.
pub(crate) struct ServerIndex {
    servers: Vec<(KnownServer, Origin, Vec<String>)>,
}

impl ServerIndex {
    /// Holds `servers`, the server of the current repository, and the public servers. The first one at an address wins.
    pub(crate) fn new(servers: &[KnownServer], current: Option<KnownServer>) -> Self {
        let public = public_servers().filter_map(|(dialect, server)| {
            Some(KnownServer { kind: Some(dialect.kind), base: ServerBase::new(server.base).ok()? })
        });
        let mut index: Vec<(KnownServer, Origin, Vec<String>)> = Vec::new();
        for server in servers.iter().cloned().chain(current).chain(public) {
            if let Some((origin, path)) = split(&server.base)
                && !index.iter().any(|(_, other, other_path)| *other == origin && *other_path == path)
            {
                index.push((server, origin, path));
            }
        }
        Self { servers: index }
    }

    /// The server whose address is the longest prefix of `origin` and `path`, and the length of its own path in parts. If
    /// the input has no scheme, https wins over http.
    pub(crate) fn longest_match(&self, origin: &Origin, path: &[String]) -> Option<(&KnownServer, usize)> {
        self.servers
            .iter()
            .filter(|(_, known, prefix)| origin.matches(known) && path.starts_with(prefix))
            .map(|(server, known, prefix)| (server, prefix.len(), known.https))
            .reduce(|best, next| if (next.1, next.2) > (best.1, best.2) { next } else { best })
            .map(|(server, parts, _)| (server, parts))
    }

    /// The server behind an ssh host; `None` if several servers share the host.
    pub(crate) fn by_ssh_host(&self, host: &str) -> Option<&KnownServer> {
        let host = Origin::new(None, host, None).host;
        let is_public = |server: &KnownServer| {
            public_servers()
                .any(|(_, public)| public.ssh_host == Some(host.as_str()) && public.base == server.base.as_str())
        };
        let mut found = self
            .servers
            .iter()
            .filter(|(server, known, _)| known.host.trim_matches(['[', ']']) == host || is_public(server));
        match (found.next(), found.next()) {
            (Some((server, ..)), None) => Some(server),
            _ => None,
        }
    }

    pub(crate) fn has_host(&self, host: &str) -> bool {
        let host = Origin::new(None, host, None).host;
        self.servers.iter().any(|(_, known, _)| known.host == host)
    }
}

/// Splits a server's address into origin and path; `None` for `local` and for a base without a valid host.
fn split(base: &ServerBase) -> Option<(Origin, Vec<String>)> {
    let (scheme, rest) = base.as_str().split_once("://")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let authority = Authority::parse(authority).ok()?;
    let path = path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
    Some((Origin::new(Some(scheme == "https"), &authority.host, authority.port), path))
}
