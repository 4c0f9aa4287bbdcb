//! Whether the default agent is logged in to its model provider, as far as that shows without a model request.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use kugetsu_agent::{Profile, config_directory, data_directory, profile};
use kugetsu_engine::Settings;
use secrecy::ExposeSecret;
use serde_json::Value;

use super::check::Check;

const ID: &str = "agent.login";
/// An agent's settings file of more bytes than this is not read.
const FILE_SIZE_MAX: u64 = 4 * 1024 * 1024;

/// Looks for a login file, an API key and a configured provider. `None` if the default agent does not exist.
pub(crate) fn check(settings: &Settings) -> Option<Check> {
    let profile = profile(&settings.agent.default, &settings.profiles).ok()?;
    let name = profile.name();
    if profile.login_files().is_empty() {
        return Some(Check::unknown(ID, name, "not known whether it is logged in: only a run shows that"));
    }
    let unverified = "only a run shows whether the provider accepts it";
    if let Some(file) = login_file(settings, &profile) {
        return Some(Check::ok(ID, name, format!("{} contains a login; {unverified}", file.display())));
    }
    if let Some(variable) = key_variable(settings) {
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

fn login_file(settings: &Settings, profile: &Profile) -> Option<PathBuf> {
    let data = data_directory(|name| variable(settings, name).map(Into::into))?;
    profile.login_files().iter().map(|file| data.join(file)).find(|file| {
        let read = text(file).and_then(|text| serde_json::from_str::<Value>(&text).ok());
        read.is_some_and(|read| read.as_object().is_some_and(|logins| !logins.is_empty()))
    })
}

/// A variable named like those that providers read their keys from.
fn key_variable(settings: &Settings) -> Option<String> {
    let own = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mut names = settings.variables.iter().map(|variable| variable.name.clone()).chain(own);
    names.find(|name| name.ends_with("_API_KEY") && variable(settings, name).is_some())
}

/// The agent's configuration that names a provider: a file, or a variable that contains the text of one.
fn configured_provider(settings: &Settings, profile: &Profile) -> Option<String> {
    let names_provider = |text: &str| text.contains("\"provider\"");
    let content = "OPENCODE_CONFIG_CONTENT";
    if variable(settings, content).is_some_and(|text| names_provider(&text)) {
        return Some(format!("the variable {content}"));
    }
    let config = config_directory(|name| variable(settings, name).map(Into::into));
    let usual = config.iter().flat_map(|config| {
        let files = ["opencode.json", "opencode.jsonc", "config.json"];
        profile.config_directories().iter().flat_map(move |folder| files.map(|file| config.join(folder).join(file)))
    });
    let named = variable(settings, "OPENCODE_CONFIG").map(PathBuf::from);
    let file = named.into_iter().chain(usual).find(|file| text(file).is_some_and(|text| names_provider(&text)));
    file.map(|file| file.display().to_string())
}

fn text(path: &Path) -> Option<String> {
    let metadata = fs::metadata(path).ok()?;
    (metadata.is_file() && metadata.len() <= FILE_SIZE_MAX).then(|| fs::read_to_string(path).ok())?
}
