//! The configured servers: names, addresses, kinds, and the default.

use std::fmt;

use kugetsu_domain::reference::{ForgeKind, ServerBase};
use kugetsu_domain::secret_forms::TokenUser;
use thiserror::Error;

use crate::kinds::table::{dialect, dialects, public_servers as public};
use crate::references::error::{AddressError, Expected, Reason};
use crate::references::parser::public_api;
use crate::references::server_index::{KnownServer, Origin};
use crate::references::url_parts::{Authority, decode_path};

/// A configured server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// As shown by `kugetsu server list`.
    pub name: String,
    /// The address of its pages.
    pub base: ServerBase,
    /// `None` until it is configured or detected.
    pub kind: Option<ForgeKind>,
    /// The address of its API, if it is not the usual one of the kind.
    pub api_url: Option<String>,
    /// The variable that holds its token, if it is not the usual one of the kind.
    pub token_env: Option<String>,
}

impl Server {
    /// The address of its API without a trailing slash; `None` while its kind is not known.
    pub fn api(&self) -> Option<String> {
        match &self.api_url {
            Some(url) => Some(url.trim_end_matches('/').to_owned()),
            None => Some(dialect(self.kind?)?.api_url(&self.base)),
        }
    }
}

/// The servers that are known without configuration, each named by its host.
pub fn public_servers() -> impl Iterator<Item = Server> {
    public().filter_map(|(dialect, server)| {
        let base = ServerBase::new(server.base).ok()?;
        let name = base.without_scheme().to_owned();
        Some(Server { name, base, kind: Some(dialect.kind), api_url: None, token_env: None })
    })
}

/// All configured servers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Servers {
    list: Vec<Server>,
    default: Option<usize>,
}

/// Why a list of servers is not valid.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ServersError {
    #[error("the default server {0:?} is not configured")]
    UnknownDefault(String),
    #[error("two servers are named {0:?}")]
    DuplicateName(String),
}

impl ServersError {
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::UnknownDefault(name) => format!(
                "add it with `kugetsu server add {name} <address>`, or choose another one with `kugetsu server default \
                 <name>`"
            ),
            Self::DuplicateName(_) => "rename one of them in config.toml".to_owned(),
        })
    }
}

impl Servers {
    /// # Errors
    /// [`ServersError`] if two servers have the same name, or if no server has the name of the default.
    pub fn new(list: Vec<Server>, default: Option<&str>) -> Result<Self, ServersError> {
        let mut named = list.iter().enumerate();
        if let Some((_, server)) = named.find(|(at, server)| list[..*at].iter().any(|other| other.name == server.name))
        {
            return Err(ServersError::DuplicateName(server.name.clone()));
        }
        let find = |name: &str| {
            list.iter()
                .position(|server| server.name == name)
                .ok_or_else(|| ServersError::UnknownDefault(name.to_owned()))
        };
        let default = default.map(find).transpose()?;
        Ok(Self { list, default })
    }

    pub fn list(&self) -> &[Server] {
        &self.list
    }

    /// The server of an `owner/repo#12` outside a clone.
    pub fn default_server(&self) -> Option<&Server> {
        self.list.get(self.default?)
    }

    /// The configured or public server of this name.
    pub fn named(&self, name: &str) -> Option<Server> {
        let configured = self.list.iter().find(|server| server.name == name).cloned();
        configured.or_else(|| public_servers().find(|server| server.name == name))
    }

    /// The kind of the server at `base`, as configured or as known of public servers.
    pub fn kind_of(&self, base: &str) -> Option<ForgeKind> {
        let configured = self.list.iter().find(|server| server.base.as_str() == base).and_then(|server| server.kind);
        configured.or_else(|| public().find(|(_, server)| server.base == base).map(|(dialect, _)| dialect.kind))
    }

    /// The variable that holds the token for the server at `base`; `None` if the server or its kind is not known.
    ///
    /// A variable that is configured for the server replaces that of its kind: the kind's token is never sent there. If two
    /// names have the same address, the one with a configured variable counts.
    pub fn token_variable(&self, base: &str) -> Option<&str> {
        let mut same = self.list.iter().filter(|server| server.base.as_str() == base);
        let configured = same.find_map(|server| server.token_env.as_deref());
        configured.or_else(|| Some(dialect(self.kind_of(base)?)?.token_variable))
    }

    /// The variables that hold tokens of servers, those of public servers and of every kind included.
    pub fn token_variables(&self) -> impl Iterator<Item = &str> {
        let configured = self.list.iter().filter_map(|server| server.token_env.as_deref());
        configured.chain(dialects().map(|dialect| dialect.token_variable))
    }

    /// The user name that git sends with a token to the server at `base`.
    pub fn git_user(&self, base: &str) -> &'static str {
        // Most kinds accept any name, so one will do while the kind is not known.
        self.kind_of(base).and_then(dialect).map_or(TokenUser::Oauth2, |dialect| dialect.git_user).as_str()
    }

    /// The servers as the parser needs them.
    pub fn known(&self) -> Vec<KnownServer> {
        self.list.iter().map(|server| KnownServer { kind: server.kind, base: server.base.clone() }).collect()
    }
}

/// The address of a server as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAddress {
    /// The address of its pages.
    pub base: ServerBase,
    /// Whether a user, a password or a query was left out.
    pub credentials_dropped: bool,
}

impl ServerAddress {
    /// Parses `git.example.co`, `https://git.example.co/`, or the address of the API there, which people paste too.
    ///
    /// # Errors
    /// [`AddressError`] for other schemes than http and https, and for paths on this machine.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        parse(text.trim()).map_err(|reason| AddressError::new(text, reason, Expected::Server))
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.base.fmt(f)
    }
}

fn parse(text: &str) -> Result<ServerAddress, Reason> {
    let (https, rest) = match text.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Some(true), rest),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Some(false), rest),
        Some(_) => return Err(Reason::Scheme),
        None => (None, text),
    };
    if rest.is_empty() {
        return Err(Reason::Empty);
    }
    let kept = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = kept.split_once('/').unwrap_or((kept, ""));
    let authority = Authority::parse(authority)?;
    let mut parts = decode_path(path)?;
    parts.retain(|part| !part.is_empty());
    let path = parts.join("/");
    let is_api = |root: &str| path.strip_suffix(root).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'));
    if let Some(dialect) = dialects().find(|dialect| is_api(dialect.api.root)) {
        parts.truncate(parts.len() - dialect.api.root.split('/').count());
    }
    let host = public_api(&authority.host).map_or(authority.host.as_str(), |(host, _)| host);
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
    fn servers_of_one_kind_can_have_their_own_tokens() {
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
        for unknown in ["https://c.example", "https://a.example.evil.example", "http://a.example"] {
            assert_eq!(servers.token_variable(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn only_the_three_public_servers_are_built_in() {
        let names: Vec<String> = public_servers().map(|server| server.name).collect();
        assert_eq!(names, ["github.com", "gitlab.com", "codeberg.org"]);
    }

    #[test]
    fn the_api_has_the_usual_path_of_the_kind_unless_configured() {
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
    fn server_addresses_are_parsed_as_people_type_them() {
        for (typed, base) in [
            ("git.example.co", "https://git.example.co"),
            (" HTTPS://Git.Example.co:443/ ", "https://git.example.co"),
            ("http://127.0.0.1:3000/api/v1/", "http://127.0.0.1:3000"),
            ("https://code.example.org/git/api/v1", "https://code.example.org/git"),
            ("https://api.github.com", "https://github.com"),
            ("https://gl.example.com:8443/gitlab//", "https://gl.example.com:8443/gitlab"),
        ] {
            assert_eq!(ServerAddress::parse(typed).unwrap().to_string(), base, "{typed}");
        }
        let secret = ServerAddress::parse("https://bot:SECRET@git.example.co/?token=SECRET").unwrap();
        assert!(secret.credentials_dropped && secret.base.as_str() == "https://git.example.co");
        for typed in ["", "https://", "ssh://h", "a b", "/srv", "https://h/../x", "https://h/a b"] {
            assert!(ServerAddress::parse(typed).is_err(), "{typed}");
        }
    }

    #[test]
    fn names_are_unique_and_the_default_is_configured() {
        let one = server("https://a.example", ForgeKind::Gitea, None);
        assert_eq!(Servers::new(vec![one.clone()], Some("x")).unwrap().default_server(), Some(&one));
        assert_eq!(Servers::new(vec![one.clone()], Some("y")), Err(ServersError::UnknownDefault("y".to_owned())));
        assert_eq!(Servers::new(vec![one.clone(), one], None), Err(ServersError::DuplicateName("x".to_owned())));
    }
}
