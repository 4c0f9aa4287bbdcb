//! The default agent's login, as far as it can be known without asking a model.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use kugetsu_agent::{Profile, profile};
use kugetsu_engine::Settings;
use secrecy::ExposeSecret;
use serde_json::Value;

use super::check::Check;

const ID: &str = "agent.login";
/// Settings of an agent are no larger.
const LARGEST: u64 = 4 * 1024 * 1024;

/// What speaks for a login, or that it is not known.
pub(crate) fn check(settings: &Settings) -> Option<Check> {
    let profile = profile(&settings.agent_default, &settings.agents).ok()?;
    let name = profile.name();
    if profile.login_files().is_empty() {
        let said = "whether it is logged in to its model is not known before a run";
        return Some(Check::unknown(ID, name, said));
    }
    let unsure = "whether the model takes it is known only by a run";
    if let Some(file) = login_file(settings, &profile) {
        return Some(Check::ok(ID, name, format!("{} holds a login; {unsure}", file.display())));
    }
    if let Some(variable) = key(settings) {
        return Some(Check::ok(ID, name, format!("the variable {variable} holds a key; {unsure}")));
    }
    if let Some(place) = configured(settings, &profile) {
        return Some(Check::ok(ID, name, format!("{place} names a provider; {unsure}")));
    }
    let said =
        "not known: no login, no provider's key and no provider of its settings was found; models that need none work";
    Some(Check::unknown(ID, name, said).repaired_by(profile.login_command()))
}

/// A variable as the agent gets it: the env files' or this command's own.
fn variable(settings: &Settings, name: &str) -> Option<String> {
    let set = settings.variable(name).map(|value| value.expose_secret().to_owned());
    set.or_else(|| env::var(name).ok()).filter(|value| !value.trim().is_empty())
}

fn place(settings: &Settings, name: &str, below_home: &str) -> Option<PathBuf> {
    let set = variable(settings, name).map(PathBuf::from).filter(|path| path.is_absolute());
    set.or_else(|| Some(PathBuf::from(variable(settings, "HOME")?).join(below_home)))
}

fn login_file(settings: &Settings, profile: &Profile) -> Option<PathBuf> {
    let data = place(settings, "XDG_DATA_HOME", ".local/share")?;
    profile.login_files().iter().map(|file| data.join(file)).find(|file| {
        let read = text(file).and_then(|text| serde_json::from_str::<Value>(&text).ok());
        read.is_some_and(|read| read.as_object().is_some_and(|logins| !logins.is_empty()))
    })
}

/// Providers take their keys from variables that are called so.
fn key(settings: &Settings) -> Option<String> {
    let own = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mut names = settings.variables.iter().map(|variable| variable.name.clone()).chain(own);
    names.find(|name| name.ends_with("_API_KEY") && variable(settings, name).is_some())
}

/// Settings of the agent's that name a provider: a file, or a variable with the text of one.
fn configured(settings: &Settings, profile: &Profile) -> Option<String> {
    let names_provider = |text: &str| text.contains("\"provider\"");
    let content = "OPENCODE_CONFIG_CONTENT";
    if variable(settings, content).is_some_and(|text| names_provider(&text)) {
        return Some(format!("the variable {content}"));
    }
    let config = place(settings, "XDG_CONFIG_HOME", ".config");
    let places = config.iter().flat_map(|config| {
        let files = ["opencode.json", "opencode.jsonc", "config.json"];
        profile.config_directories().iter().flat_map(move |folder| files.map(|file| config.join(folder).join(file)))
    });
    let named = variable(settings, "OPENCODE_CONFIG").map(PathBuf::from);
    let found = named.into_iter().chain(places).find(|file| text(file).is_some_and(|text| names_provider(&text)));
    found.map(|file| file.display().to_string())
}

fn text(path: &Path) -> Option<String> {
    let found = fs::metadata(path).ok()?;
    (found.is_file() && found.len() <= LARGEST).then(|| fs::read_to_string(path).ok())?
}
