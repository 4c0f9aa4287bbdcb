//! The servers that an address is matched against: those of the user and the three public ones that everybody knows.
//!
//! No private host is built in.

use kugetsu_domain::reference::{ForgeKind, ProjectPath, ServerBase};

use crate::authority::Authority;
use crate::error::Fault;

/// Public servers, known without any configuration; a configured entry for the same address wins.
pub(crate) const PUBLIC: [(&str, ForgeKind); 3] = [
    ("https://github.com", ForgeKind::GitHub),
    ("https://gitlab.com", ForgeKind::GitLab),
    ("https://codeberg.org", ForgeKind::Forgejo),
];

/// Hosts that answer ssh for a public server beside its own (on port 443, for networks that block 22).
const PUBLIC_SSH: [(&str, &str); 2] = [("ssh.github.com", "github.com"), ("altssh.gitlab.com", "gitlab.com")];

/// A server that is known before an address is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownServer {
    /// What serves there, where known.
    pub kind: Option<ForgeKind>,
    /// Where its pages begin.
    pub base: ServerBase,
}

/// Where a web address points: scheme, host and port, compared without regard to default ports and `www.`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// Absent where the address was typed without one.
    pub(crate) https: Option<bool>,
    pub(crate) host: String,
    /// Absent for the scheme's default port.
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

    /// The address of the server; https where the input named no scheme.
    fn base(&self) -> String {
        let scheme = if self.https == Some(false) { "http" } else { "https" };
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("{scheme}://{}{port}", self.host)
    }

    /// The server whose pages begin at `path` there.
    pub(crate) fn server(&self, path: &[String]) -> Result<ServerBase, Fault> {
        if path.is_empty() {
            return ServerBase::new(self.base()).map_err(Fault::Server);
        }
        // A server's sub-path is made of the same characters as a project's.
        let path = ProjectPath::new(path.join("/")).map_err(Fault::Project)?;
        ServerBase::new(format!("{}/{path}", self.base())).map_err(Fault::Server)
    }

    fn matches(&self, known: &Self) -> bool {
        self.host == known.host && self.port == known.port && (self.https.is_none() || self.https == known.https)
    }
}

/// All servers known while one address is read.
pub(crate) struct Known {
    all: Vec<(KnownServer, Origin, Vec<String>)>,
}

impl Known {
    /// The servers given, then the public ones that are not among them.
    pub(crate) fn new(servers: &[KnownServer], context: Option<KnownServer>) -> Self {
        let public = PUBLIC
            .into_iter()
            .filter_map(|(base, kind)| Some(KnownServer { kind: Some(kind), base: ServerBase::new(base).ok()? }));
        let mut all: Vec<(KnownServer, Origin, Vec<String>)> = Vec::new();
        for server in servers.iter().cloned().chain(context).chain(public) {
            if let Some((origin, path)) = split(&server.base)
                && !all.iter().any(|(_, other, other_path)| *other == origin && *other_path == path)
            {
                all.push((server, origin, path));
            }
        }
        Self { all }
    }

    /// The server whose address is the longest beginning of `origin` and `path`, and how many parts of the path are
    /// the server's. Without a scheme in the input, https is preferred.
    pub(crate) fn longest(&self, origin: &Origin, path: &[String]) -> Option<(&KnownServer, usize)> {
        self.all
            .iter()
            .filter(|(_, known, begin)| origin.matches(known) && path.starts_with(begin))
            .map(|(server, known, begin)| (server, begin.len(), known.https))
            .reduce(|best, next| if (next.1, next.2) > (best.1, best.2) { next } else { best })
            .map(|(server, parts, _)| (server, parts))
    }

    /// The server behind an ssh host; none where two servers share the host, since nothing tells them apart.
    pub(crate) fn by_host(&self, host: &str) -> Option<&KnownServer> {
        let host = Origin::new(None, host, None).host;
        let host = PUBLIC_SSH.iter().find(|(ssh, _)| *ssh == host).map_or(host.as_str(), |(_, web)| web);
        let mut found = self.all.iter().filter(|(_, known, _)| known.host.trim_matches(['[', ']']) == host);
        match (found.next(), found.next()) {
            (Some((server, ..)), None) => Some(server),
            _ => None,
        }
    }

    /// Whether any server has this host.
    pub(crate) fn has_host(&self, host: &str) -> bool {
        let host = Origin::new(None, host, None).host;
        self.all.iter().any(|(_, known, _)| known.host == host)
    }
}

/// A server's address as origin and path; none for `local`, and for a base whose host is no host.
fn split(base: &ServerBase) -> Option<(Origin, Vec<String>)> {
    let (scheme, rest) = base.as_str().split_once("://")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let authority = Authority::read(authority).ok()?;
    let path = path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
    Some((Origin::new(Some(scheme == "https"), &authority.host, authority.port), path))
}
