//! Whether the default agent is logged in to its model provider, as far as that shows without a model request.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use kugetsu_agent::{Profile, UserFile, profile};
use kugetsu_engine::Settings;
use secrecy::ExposeSecret;
use serde_json::Value;

use super::check::Check;

const ID: &str = "agent.login";
/// An agent's settings file of more bytes than this is not read.
const FILE_SIZE_MAX: u64 = 4 * 1024 * 1024;

/// Looks for a login file, a key and a configured provider. `None` if the default agent does not exist.
pub(crate) fn check(settings: &Settings) -> Option<Check> {
    let profile = profile(&settings.agent.default, &settings.profiles).ok()?;
    let name = profile.name();
    if !profile.is_built_in() {
        return Some(Check::unknown(ID, name, "not known whether it is logged in: only a run shows that"));
    }
    let unverified = "only a run shows whether the provider accepts it";
    if let Some(file) = login_file(settings, &profile) {
        return Some(Check::ok(ID, name, format!("{} contains a login; {unverified}", file.display())));
    }
    if let Some(variable) = key_variable(settings, &profile) {
        return Some(Check::ok(ID, name, format!("the variable {variable} contains a key; {unverified}")));
    }
    if let Some(source) = configured_provider(settings, &profile) {
        return Some(Check::ok(ID, name, format!("{source} names a provider; {unverified}")));
    }
    let message = "not known whether it is logged in: there is no login file, API key or configured provider, which some models do not need";
    Some(Check::unknown(ID, name, message).with_repair(profile.login_command()))
}

/// The value of a variable in the agent's environment: that of the env files, or this command's own.
fn variable(settings: &Settings, name: &str) -> Option<String> {
    let set = settings.variable(name).map(|value| value.expose_secret().to_owned());
    set.or_else(|| env::var(name).ok()).filter(|value| !value.trim().is_empty())
}

fn path(settings: &Settings, file: &UserFile) -> Option<PathBuf> {
    file.path_in(|name| variable(settings, name).map(Into::into))
}

fn login_file(settings: &Settings, profile: &Profile) -> Option<PathBuf> {
    profile.login().files.iter().filter_map(|file| path(settings, file)).find(|file| {
        let read = text(file).and_then(|text| serde_json::from_str::<Value>(&text).ok());
        read.is_some_and(|read| read.as_object().is_some_and(|logins| !logins.is_empty()))
    })
}

/// A variable that logs the agent in, or one named like those that providers read their keys from.
fn key_variable(settings: &Settings, profile: &Profile) -> Option<String> {
    let login = profile.login();
    if let Some(name) = login.variables.iter().find(|name| variable(settings, name).is_some()) {
        return Some((*name).to_owned());
    }
    let own = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mut names = settings.variables.iter().map(|variable| variable.name.clone()).chain(own);
    names.find(|name| login.any_key && name.ends_with("_API_KEY") && variable(settings, name).is_some())
}

/// The agent's configuration that names a provider: a file, or a variable that contains the text of one or its path.
fn configured_provider(settings: &Settings, profile: &Profile) -> Option<String> {
    let login = profile.login();
    for (name, mark) in login.configured_by {
        let value = variable(settings, name).unwrap_or_default();
        if value.contains(mark) {
            return Some(format!("the variable {name}"));
        }
        if Path::new(&value).is_absolute() && text(Path::new(&value)).is_some_and(|text| text.contains(mark)) {
            return Some(value);
        }
    }
    let mut files = login.configured.iter().filter_map(|(file, mark)| Some((path(settings, file)?, *mark)));
    let file = files.find(|(file, mark)| text(file).is_some_and(|text| text.contains(mark)));
    file.map(|(file, _)| file.display().to_string())
}

fn text(path: &Path) -> Option<String> {
    let metadata = fs::metadata(path).ok()?;
    (metadata.is_file() && metadata.len() <= FILE_SIZE_MAX).then(|| fs::read_to_string(path).ok())?
}
