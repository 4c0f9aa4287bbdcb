//! Which token git shows to which server: the server's own one or that of its kind, and only to servers that are known.

use kugetsu_git::command::Git;
use kugetsu_git::mirror::Source;
use secrecy::{ExposeSecret, SecretString};

use crate::settings::Settings;

/// A repository's source, as it is stored.
pub(crate) fn source(local: bool, text: &str) -> Source {
    match local {
        true => Source::Path(text.into()),
        // An entry of `repos.json` may name a directory.
        false => Source::parse(text).unwrap_or_else(|_| Source::Url(text.to_owned())),
    }
}

/// The same door, with the server's token if the env files hold one. A server that nobody configured gets none: a token
/// must not go to whatever host an address names.
pub(crate) fn with_token(git: &Git, settings: &Settings, base: &str) -> Git {
    let Some(name) = token_variable(settings, base) else { return git.clone() };
    let Some(value) = value(settings, name) else { return git.clone() };
    git.with_token(base, settings.servers.git_user(base), value.clone())
}

/// The token for a server, where its kind is known and the env files hold one.
pub(crate) fn token<'a>(settings: &'a Settings, base: &str) -> Option<&'a SecretString> {
    value(settings, token_variable(settings, base)?)
}

fn value<'a>(settings: &'a Settings, name: &str) -> Option<&'a SecretString> {
    settings.variable(name).filter(|value| !value.expose_secret().is_empty())
}

/// The variable that holds the token for a server: its own, or that of its kind.
pub(crate) fn token_variable<'a>(settings: &'a Settings, base: &str) -> Option<&'a str> {
    settings.servers.token_variable(base)
}
