//! The git servers as they are listed: the configured ones, then the built-in public ones.

use kugetsu_forge::servers::{Server, public_servers};
use secrecy::ExposeSecret;
use serde::Serialize;

use crate::config::layer::Origin;
use crate::config::load::Loaded;
use crate::config::schema::Key;

/// The default server if none is configured.
const FALLBACK: &str = "github.com";

/// A server in the output of `kugetsu server`. It holds the name of the token's variable, never the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ServerObject {
    pub(crate) name: String,
    pub(crate) url: String,
    /// `None` if it is neither configured nor known.
    pub(crate) kind: Option<&'static str>,
    /// The configured address of the API, or the usual one for the kind.
    pub(crate) api_url: Option<String>,
    /// File and line, or `built in`.
    pub(crate) source: String,
    /// The variable that its token is read from.
    pub(crate) token_env: Option<String>,
    /// Whether that variable is set in `env/default.env`.
    pub(crate) token_set: bool,
    /// Whether `owner/repo#12` refers to it.
    pub(crate) default: bool,
}

/// All servers, in the order of [`all`].
pub(crate) fn objects(loaded: &Loaded) -> Vec<ServerObject> {
    all(loaded).iter().map(|server| object(loaded, server)).collect()
}

/// The configured servers, then the public ones that are not configured under another name.
pub(crate) fn all(loaded: &Loaded) -> Vec<Server> {
    let mut all = loaded.settings.servers.list().to_vec();
    for public in public_servers() {
        if !all.iter().any(|server| server.base == public.base || server.name == public.name) {
            all.push(public);
        }
    }
    all
}

/// Where a server is configured. `None` if it is built in.
pub(crate) fn origin<'a>(loaded: &'a Loaded, name: &str) -> Option<&'a Origin> {
    loaded.values.get(&Key::new("servers", Some(name), "url")).map(|(_, origin)| origin)
}

/// The server that `owner/repo#12` refers to outside of a clone.
pub(crate) fn default_name(loaded: &Loaded) -> String {
    let default = loaded.settings.servers.default_server().map(|server| server.name.clone());
    let fallback = || all(loaded).into_iter().find(|server| server.base.as_str() == format!("https://{FALLBACK}"));
    default.or_else(|| fallback().map(|server| server.name)).unwrap_or_else(|| FALLBACK.to_owned())
}

/// Whether the variable has a value in `env/default.env`.
pub(crate) fn is_set(loaded: &Loaded, variable: &str) -> bool {
    loaded.settings.variable(variable).is_some_and(|value| !value.expose_secret().trim().is_empty())
}

fn object(loaded: &Loaded, server: &Server) -> ServerObject {
    let kind = loaded.settings.servers.kind_of(server.base.as_str());
    let known = Server { kind, ..server.clone() };
    let variable = loaded.settings.servers.token_variable(server.base.as_str());
    ServerObject {
        name: server.name.clone(),
        url: server.base.to_string(),
        kind: kind.map(|kind| kind.name()),
        api_url: known.api(),
        source: origin(loaded, &server.name).map_or_else(|| "built in".to_owned(), ToString::to_string),
        token_env: variable.map(str::to_owned),
        token_set: variable.is_some_and(|variable| is_set(loaded, variable)),
        default: default_name(loaded) == server.name,
    }
}
