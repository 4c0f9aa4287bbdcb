//! The git servers of the configuration: name, address, kind, and which of them is the default (C10, B5).

use std::fmt;

use kugetsu_domain::reference::{ForgeKind, ServerBase};
use thiserror::Error;

use crate::authority::Authority;
use crate::error::{AddressError, Fault};
use crate::known::{KnownServer, Origin, PUBLIC};
use crate::path;

/// One configured server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// The name in `kugetsu server list`.
    pub name: String,
    /// Where its pages begin.
    pub base: ServerBase,
    /// What serves there, where configured or found out.
    pub kind: Option<ForgeKind>,
    /// Where its API is, where that differs from the usual place.
    pub api_url: Option<String>,
    /// The variable that holds its token, where that is not the usual one of its kind.
    pub token_env: Option<String>,
}

impl Server {
    /// Where the server's API begins, without a trailing slash; none while its kind is not known.
    pub fn api(&self) -> Option<String> {
        if let Some(url) = &self.api_url {
            return Some(url.trim_end_matches('/').to_owned());
        }
        match self.kind? {
            ForgeKind::GitHub if self.base.as_str() == "https://github.com" => {
                Some("https://api.github.com".to_owned())
            }
            ForgeKind::GitHub => Some(format!("{}/api/v3", self.base)),
            ForgeKind::Gitea | ForgeKind::Forgejo => Some(format!("{}/api/v1", self.base)),
            ForgeKind::GitLab => Some(format!("{}/api/v4", self.base)),
            ForgeKind::Local => None,
        }
    }

    /// A public server, which everybody knows, by its host.
    fn public((address, kind): (&str, ForgeKind)) -> Option<Self> {
        let name = address.split_once("://").map_or(address, |(_, host)| host).to_owned();
        let base = ServerBase::new(address).ok()?;
        Some(Self { name, base, kind: Some(kind), api_url: None, token_env: None })
    }
}

/// The variable that a token for servers of this kind is kept in, where nothing else is said.
const fn usual_token_variable(kind: ForgeKind) -> Option<&'static str> {
    match kind {
        ForgeKind::GitHub => Some("GITHUB_TOKEN"),
        ForgeKind::GitLab => Some("GITLAB_TOKEN"),
        ForgeKind::Gitea | ForgeKind::Forgejo => Some("GITEA_TOKEN"),
        ForgeKind::Local => None,
    }
}

/// The public servers that need no configuration, each called by its host.
pub fn public_servers() -> impl Iterator<Item = Server> {
    PUBLIC.into_iter().filter_map(Server::public)
}

/// All configured servers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Servers {
    list: Vec<Server>,
    default: Option<usize>,
}

/// Why a list of servers was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ServersError {
    /// The default names none of the servers.
    #[error(
        "the default server {0:?} is not configured; add it to config.toml ([servers.{0}] url = \"https://...\"), \
         or choose another with `kugetsu config set server.default <name>`"
    )]
    UnknownDefault(String),
    /// Two servers have one name.
    #[error("two servers have the name {0:?}; rename one of them in config.toml")]
    SameName(String),
}

impl Servers {
    /// Takes the configured servers and the default's name.
    ///
    /// # Errors
    /// Refuses two servers of one name, and a default that is not among them.
    pub fn new(list: Vec<Server>, default: Option<&str>) -> Result<Self, ServersError> {
        let twin =
            list.iter().enumerate().find(|(at, server)| list[..*at].iter().any(|other| other.name == server.name));
        if let Some((_, server)) = twin {
            return Err(ServersError::SameName(server.name.clone()));
        }
        let find = |name: &str| {
            list.iter()
                .position(|server| server.name == name)
                .ok_or_else(|| ServersError::UnknownDefault(name.to_owned()))
        };
        let default = default.map(find).transpose()?;
        Ok(Self { list, default })
    }

    /// The servers, in their order.
    pub fn list(&self) -> &[Server] {
        &self.list
    }

    /// The server of an `owner/repo#12` that names none.
    pub fn default_server(&self) -> Option<&Server> {
        self.list.get(self.default?)
    }

    /// What serves at this address, as configured, or as it is known of public servers.
    pub fn kind_of(&self, base: &str) -> Option<ForgeKind> {
        let configured = self.list.iter().find(|server| server.base.as_str() == base).and_then(|server| server.kind);
        configured.or_else(|| PUBLIC.iter().find(|(address, _)| *address == base).map(|(_, kind)| *kind))
    }

    /// The variable that holds the token for the server at this address; none for a server that nobody named, and for one
    /// whose kind is not known. One that was said stands alone: a token for the kind in general is not shown to this server.
    /// Where two names have the address, the one that says its variable counts.
    pub fn token_variable(&self, base: &str) -> Option<&str> {
        let mut same = self.list.iter().filter(|server| server.base.as_str() == base);
        let said = same.find_map(|server| server.token_env.as_deref());
        said.or_else(|| usual_token_variable(self.kind_of(base)?))
    }

    /// What the parser needs to know of them.
    pub fn known(&self) -> Vec<KnownServer> {
        self.list.iter().map(|server| KnownServer { kind: server.kind, base: server.base.clone() }).collect()
    }
}

/// A server's address as somebody typed it, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAddress {
    /// Where its pages begin.
    pub base: ServerBase,
    /// Whether a user, a password or a query was left out.
    pub credentials_dropped: bool,
}

impl ServerAddress {
    /// Reads `git.example.co`, `https://git.example.co/` or the address of the API there, which people paste as well.
    ///
    /// # Errors
    /// Refuses paths, schemes other than http and https, and what is no host name.
    pub fn read(text: &str) -> Result<Self, AddressError> {
        read(text.trim()).map_err(|fault| AddressError::new(text, fault))
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.base.fmt(f)
    }
}

fn read(text: &str) -> Result<ServerAddress, Fault> {
    let (https, rest) = match text.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Some(true), rest),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Some(false), rest),
        Some(_) => return Err(Fault::Scheme),
        None => (None, text),
    };
    if rest.is_empty() {
        return Err(Fault::Empty);
    }
    let kept = rest.split(['?', '#']).next().unwrap_or_default();
    let (place, path) = kept.split_once('/').unwrap_or((kept, ""));
    let authority = Authority::read(place)?;
    let mut parts = path::decoded(path)?;
    parts.retain(|part| !part.is_empty());
    if let [.., api, version] = parts.as_slice()
        && api == "api"
        && matches!(version.as_str(), "v1" | "v3" | "v4")
    {
        parts.truncate(parts.len() - 2);
    }
    let host = if authority.host == "api.github.com" { "github.com" } else { &authority.host };
    let base = Origin::new(https, host, authority.port).server(&parts)?;
    Ok(ServerAddress { base, credentials_dropped: authority.user.is_some() || kept.len() < rest.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(base: &str, kind: ForgeKind, api_url: Option<&str>) -> Server {
        let base = ServerBase::new(base).unwrap();
        let api_url = api_url.map(str::to_owned);
        Server { name: "x".to_owned(), base, kind: Some(kind), api_url, token_env: None }
    }

    #[test]
    fn two_servers_of_one_kind_can_have_two_tokens() {
        let named = |name: &str, base: &str, variable: Option<&str>| Server {
            name: name.to_owned(),
            token_env: variable.map(str::to_owned),
            ..server(base, ForgeKind::Gitea, None)
        };
        let (one, two) =
            (named("one", "https://a.example", Some("ONE_TOKEN")), named("two", "https://b.example", None));
        let servers = Servers::new(vec![one, two], None).unwrap();
        assert_eq!(servers.token_variable("https://a.example"), Some("ONE_TOKEN"));
        assert_eq!(servers.token_variable("https://b.example"), Some("GITEA_TOKEN"));
        assert_eq!(servers.token_variable("https://github.com"), Some("GITHUB_TOKEN"));
        for nobodys in ["https://c.example", "https://a.example.evil.example", "http://a.example"] {
            assert_eq!(servers.token_variable(nobodys), None, "{nobodys}");
        }
    }

    #[test]
    fn three_public_servers_are_built_in_and_no_other() {
        let names: Vec<String> = public_servers().map(|server| server.name).collect();
        assert_eq!(names, ["github.com", "gitlab.com", "codeberg.org"]);
    }

    #[test]
    fn the_api_is_where_the_kind_has_it_unless_said_otherwise() {
        for (base, kind, set, expected) in [
            ("https://github.com", ForgeKind::GitHub, None, "https://api.github.com"),
            ("https://ghe.example.com", ForgeKind::GitHub, None, "https://ghe.example.com/api/v3"),
            ("http://127.0.0.1:3000", ForgeKind::Gitea, None, "http://127.0.0.1:3000/api/v1"),
            ("https://code.example.org/git", ForgeKind::Forgejo, None, "https://code.example.org/git/api/v1"),
            ("https://gl.example.com", ForgeKind::GitLab, None, "https://gl.example.com/api/v4"),
            ("https://a.example", ForgeKind::Gitea, Some("https://b.example/api/"), "https://b.example/api"),
        ] {
            assert_eq!(server(base, kind, set).api().as_deref(), Some(expected));
        }
    }

    #[test]
    fn a_server_is_read_as_people_type_it() {
        for (typed, base) in [
            ("git.example.co", "https://git.example.co"),
            (" HTTPS://Git.Example.co:443/ ", "https://git.example.co"),
            ("http://127.0.0.1:3000/api/v1/", "http://127.0.0.1:3000"),
            ("https://code.example.org/git/api/v1", "https://code.example.org/git"),
            ("https://api.github.com", "https://github.com"),
            ("https://gl.example.com:8443/gitlab//", "https://gl.example.com:8443/gitlab"),
        ] {
            assert_eq!(ServerAddress::read(typed).unwrap().to_string(), base, "{typed}");
        }
        let secret = ServerAddress::read("https://bot:SECRET@git.example.co/?token=SECRET").unwrap();
        assert!(secret.credentials_dropped && secret.base.as_str() == "https://git.example.co");
        for typed in ["", "https://", "ssh://h", "a b", "/srv", "https://h/../x", "https://h/a b"] {
            assert!(ServerAddress::read(typed).is_err(), "{typed}");
        }
    }

    #[test]
    fn the_default_must_be_one_of_the_servers() {
        let one = server("https://a.example", ForgeKind::Gitea, None);
        assert_eq!(Servers::new(vec![one.clone()], Some("x")).unwrap().default_server(), Some(&one));
        assert_eq!(Servers::new(vec![one.clone()], Some("y")), Err(ServersError::UnknownDefault("y".to_owned())));
        assert_eq!(Servers::new(vec![one.clone(), one], None), Err(ServersError::SameName("x".to_owned())));
    }
}
