//! The git servers as people see them: those of the settings, then the public ones that everybody knows.

use kugetsu_forge::servers::{Server, public_servers};
use secrecy::ExposeSecret;
use serde::Serialize;

use crate::config::load::Loaded;
use crate::config::source::Source;

/// The server of last resort.
const LAST_RESORT: &str = "github.com";

/// A server, as it is listed. It holds the name of the token's variable, and never the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) url: String,
    /// None while nobody has said it.
    pub(crate) kind: Option<&'static str>,
    /// Where the API is, as it was said or usual for the kind.
    pub(crate) api_url: Option<String>,
    /// File and line, or `built in`.
    pub(crate) source: String,
    /// The variable that its token is read from.
    pub(crate) token_env: Option<String>,
    /// Whether that variable is set in `env/default.env`.
    pub(crate) token_set: bool,
    /// Whether `owner/repo#12` means it.
    pub(crate) default: bool,
}

/// All servers. A public one that is configured under a name of its own is listed once.
pub(crate) fn listed(loaded: &Loaded) -> Vec<Listed> {
    all(loaded).iter().map(|server| show(loaded, server)).collect()
}

/// The servers themselves, in the same order.
pub(crate) fn all(loaded: &Loaded) -> Vec<Server> {
    let mut all = loaded.settings.servers.list().to_vec();
    for public in public_servers() {
        if !all.iter().any(|server| server.base == public.base || server.name == public.name) {
            all.push(public);
        }
    }
    all
}

/// Where a server comes from; none for one that is built in.
pub(crate) fn source<'a>(loaded: &'a Loaded, name: &str) -> Option<&'a Source> {
    loaded.server_sources.get(name).filter(|source| **source != Source::Default)
}

/// The server that `owner/repo#12` means outside a clone.
pub(crate) fn default_name(loaded: &Loaded) -> String {
    let default = loaded.settings.servers.default_server().map(|server| server.name.clone());
    let last_resort =
        || all(loaded).into_iter().find(|server| server.base.as_str() == format!("https://{LAST_RESORT}"));
    default.or_else(|| last_resort().map(|server| server.name)).unwrap_or_else(|| LAST_RESORT.to_owned())
}

/// Whether the variable has a value in the env files that reach every agent.
pub(crate) fn is_set(loaded: &Loaded, variable: &str) -> bool {
    loaded.settings.variable(variable).is_some_and(|value| !value.expose_secret().trim().is_empty())
}

fn show(loaded: &Loaded, server: &Server) -> Listed {
    let kind = loaded.settings.servers.kind_of(server.base.as_str());
    let known = Server { kind, ..server.clone() };
    let variable = loaded.settings.servers.token_variable(server.base.as_str());
    Listed {
        name: server.name.clone(),
        url: server.base.to_string(),
        kind: kind.map(|kind| kind.name()),
        api_url: known.api(),
        source: source(loaded, &server.name).map_or_else(|| "built in".to_owned(), ToString::to_string),
        token_env: variable.map(str::to_owned),
        token_set: variable.is_some_and(|variable| is_set(loaded, variable)),
        default: default_name(loaded) == server.name,
    }
}
