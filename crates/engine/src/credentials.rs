//! Tokens for servers. A token is sent only to servers that are configured or well known.

use kugetsu_git::command::Git;
use kugetsu_git::mirror::Source;
use secrecy::{ExposeSecret, SecretString};

use crate::schema::Credentials;
use crate::settings::Settings;

/// Parses the stored source of a repository.
pub(crate) fn source(local: bool, text: &str) -> Source {
    match local {
        true => Source::Path(text.into()),
        // An entry of `repos.json` may name a directory.
        false => Source::parse(text).unwrap_or_else(|_| Source::Url(text.to_owned())),
    }
}

/// Returns the git runner with the server's token, if the env files hold one. A server that is not configured gets none: a
/// token must not go to any host that an address names.
pub(crate) fn with_token(git: &Git, settings: &Settings, base: &str) -> Git {
    let Some(name) = token_variable(settings, base) else { return git.clone() };
    let Some(value) = value(settings, name) else { return git.clone() };
    git.with_token(base, settings.servers.git_user(base), value.clone())
}

/// Returns the token of a server.
pub(crate) fn token<'a>(settings: &'a Settings, base: &str) -> Option<&'a SecretString> {
    value(settings, token_variable(settings, base)?)
}

fn value<'a>(settings: &'a Settings, name: &str) -> Option<&'a SecretString> {
    settings.variable(name).filter(|value| !value.expose_secret().is_empty())
}

/// Returns the variable that holds the token of a server: its own, or that of its kind.
pub(crate) fn token_variable<'a>(settings: &'a Settings, base: &str) -> Option<&'a str> {
    settings.servers.token_variable(base)
}

/// The variables with tokens that the host keeps from agents.
pub(crate) fn withheld(settings: &Settings) -> Vec<String> {
    let names = settings.servers.token_variables().filter(|name| settings.variable(name).is_some());
    match settings.run.credentials {
        Credentials::Host => names.map(str::to_owned).collect(),
        Credentials::Env => Vec::new(),
    }
}
