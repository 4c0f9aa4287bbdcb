//! Stacks the layers of settings and resolves them into the engine's [`Settings`].
//!
//! The caller passes the environment in; nothing here reads it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use kugetsu_agent::{AgentSettings, UnknownAgent, profile};
use kugetsu_api::home::Home;
use kugetsu_api::regular_file;
use kugetsu_domain::reason::Reason;
use kugetsu_engine::Settings;
use kugetsu_engine::schema::{Config, defaults};
use kugetsu_engine::watches::Watch;
use kugetsu_forge::repositories::Repositories;
use kugetsu_forge::servers::{Server, Servers, public_servers};
use serde_json::Value;

use crate::agents::choice;
use crate::names::did_you_mean;
use crate::{atomic, env_files};

use super::entries;
use super::layer::{self, ConfigError, Environment, FileLayer, Layer, Origin};
use super::schema::Key;
use super::script;

/// The settings in effect.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) settings: Settings,
    /// All values that are set somewhere, and the default agent.
    pub(crate) values: Layer,
    /// Problems that do not keep the settings from being used.
    pub(crate) warnings: Vec<String>,
    /// The mistakes in `config.toml`. If there are any, the values are those of the last valid file, or, without
    /// one, the valid ones of this file.
    pub(crate) errors: Vec<ConfigError>,
    /// Whether there is a last valid file to fall back to.
    pub(crate) has_last_valid: bool,
    /// The text of `config.toml`.
    text: String,
}

/// The environment of this process.
pub(crate) fn own_environment(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// Reads the settings. Errors in `config.toml` are in [`Loaded::errors`].
///
/// # Errors
/// A file cannot be read, or something else than `config.toml` is invalid: a variable, or `repos.json`.
pub(crate) fn load(home: &Home, environment: Environment<'_>) -> Result<Loaded, ConfigError> {
    resolve(home, text(&home.config())?.unwrap_or_default(), environment)
}

/// Finds what would be invalid if `config.toml` had this text.
pub(crate) fn errors_in(home: &Home, text: &str) -> Result<Vec<ConfigError>, ConfigError> {
    resolve(home, text.to_owned(), &|_| None).map(|loaded| loaded.errors)
}

impl Loaded {
    /// # Errors
    /// The first error, if there is no last valid file to use instead of an invalid one.
    pub(crate) fn usable(self) -> Result<Self, ConfigError> {
        match self.errors.first() {
            Some(error) if !self.has_last_valid => Err(error.clone()),
            _ => Ok(self),
        }
    }

    /// Warnings and errors, one message each.
    pub(crate) fn messages(&self) -> impl Iterator<Item = String> {
        let errors = self.errors.iter().map(|error| format!("{error}; using the last valid settings"));
        self.warnings.iter().cloned().chain(errors)
    }

    /// Whether an installed agent is used because the setting `agent.default` is not set.
    pub(crate) fn agent_is_chosen(&self) -> bool {
        self.values.get(&default_agent_key()).is_some_and(|(_, origin)| *origin == Origin::Installed)
    }

    /// The agent of tasks that name none; `None` if no agent is set or installed.
    pub(crate) fn default_agent(&self) -> Option<&str> {
        let is_known = self.settings.agent.default.is_some() || self.agent_is_chosen();
        is_known.then_some(self.settings.default_agent.as_str())
    }

    /// Settings that name an agent which does not exist. They are no errors: its entry may follow.
    pub(crate) fn unknown_agents(&self) -> Vec<ConfigError> {
        let settings = &self.settings;
        let named = [("agent", settings.agent.default.as_ref()), ("pm", settings.pm.agent.as_ref())];
        let unknown = named.into_iter().filter_map(|(section, name)| {
            let UnknownAgent { name, known } = profile(name?, &settings.profiles).err()?;
            let key = Key::new(section, None, if section == "agent" { "default" } else { "agent" });
            let near = did_you_mean(&name, known.iter().map(String::as_str));
            let origin = self.values.get(&key).map_or(&Origin::Default, |(_, origin)| origin);
            let message = format!("{key} is {name:?}, but there is no such agent{near}");
            Some(ConfigError { key: Some(key), ..ConfigError::new(origin, message) })
        });
        unknown.collect()
    }

    /// Saves a valid `config.toml` to fall back to when it becomes invalid.
    pub(crate) fn save_last_valid(&self, home: &Home) -> Result<(), ConfigError> {
        let path = last_valid_path(home);
        // Editors that rewrite a file truncate it first.
        let is_truncated = self.text.is_empty() && self.has_last_valid;
        if !self.errors.is_empty() || is_truncated || text(&path)?.as_ref() == Some(&self.text) {
            return Ok(());
        }
        let written = atomic::write(&path, &self.text);
        written.map_err(|error| ConfigError::new(path.display(), format!("could not write it: {error}")))
    }
}

pub(crate) fn default_agent_key() -> Key {
    Key::new("agent", None, "default")
}

fn last_valid_path(home: &Home) -> PathBuf {
    home.path().join("daemon.settings.toml")
}

fn resolve(home: &Home, text: String, environment: Environment<'_>) -> Result<Loaded, ConfigError> {
    let (script, mut warnings) = script::read(&home.old_config(), &script_bytes(home)?.unwrap_or_default());
    let (variables, variable_warnings) = layer::variables(environment)?;
    warnings.extend(variable_warnings);
    let stack = |file: Layer| Resolved::new(script.clone().into_iter().chain(file).chain(variables.clone()).collect());

    let FileLayer { values, warnings: file_warnings, mut errors } = layer::file(&home.config(), &text);
    let mut resolved = stack(values)?;
    warnings.extend(file_warnings.iter().map(ToString::to_string));
    match resolved.unknown_default.take_if(|(origin, _)| !is_variable(origin)) {
        Some((Origin::Script(_), error)) => warnings.push(error.to_string()),
        Some((_, error)) => errors.push(error),
        None => {}
    }
    errors.append(&mut resolved.invalid_watches);
    let last_valid = last_valid(home, &stack).unwrap_or_else(|error| {
        warnings.push(error.to_string());
        None
    });
    let has_last_valid = last_valid.is_some();
    if let (false, Some(last_valid)) = (errors.is_empty(), last_valid) {
        resolved = last_valid;
    }
    // The server that the environment names may be one of the last valid file. The mistakes in the present one come first.
    if let Some((_, error)) = resolved.unknown_default.take() {
        match errors.is_empty() {
            true => return Err(error),
            false => errors.push(error),
        }
    }
    let Resolved { config, values, servers, profiles, watches, .. } = resolved;
    let repositories = repositories(home, &servers, &mut warnings)?;
    let env = env_files::merged(home, &[]);
    let env = env.map_err(|failure| ConfigError::new(home.env().display(), failure.message))?;
    warnings.extend(env.diagnostics);
    let mut settings =
        Settings { profiles, servers, watches, repositories, variables: env.variables, ..Settings::new(config) };
    let mut values = values;
    if settings.agent.default.is_none() {
        let chosen = choice::first(home, &settings.profiles, environment);
        let origin = if chosen.is_some() { Origin::Installed } else { Origin::Default };
        settings.default_agent = chosen.unwrap_or(settings.default_agent);
        values.insert(default_agent_key(), (settings.default_agent.clone().into(), origin));
    }
    let mut loaded = Loaded { settings, values, warnings, errors, has_last_valid, text };
    let unknown_agents = loaded.unknown_agents();
    loaded.warnings.extend(unknown_agents.iter().map(ToString::to_string));
    Ok(loaded)
}

/// Resolves the last valid `config.toml`. `None` if there is none, or if this version does not accept it.
fn last_valid(
    home: &Home,
    stack: &impl Fn(Layer) -> Result<Resolved, ConfigError>,
) -> Result<Option<Resolved>, ConfigError> {
    let path = last_valid_path(home);
    let Some(text) = text(&path)? else { return Ok(None) };
    let FileLayer { mut values, errors, .. } = layer::file(&path, &text);
    values.values_mut().for_each(|(_, origin)| *origin = Origin::LastValid);
    let resolved = stack(values)?;
    let is_valid = errors.is_empty()
        && resolved.invalid_watches.is_empty()
        && resolved.unknown_default.as_ref().is_none_or(|(origin, _)| is_variable(origin));
    Ok(is_valid.then_some(resolved))
}

const fn is_variable(origin: &Origin) -> bool {
    matches!(origin, Origin::Environment(_))
}

/// Values that fit together.
struct Resolved {
    config: Config,
    values: Layer,
    servers: Servers,
    profiles: Vec<AgentSettings>,
    watches: Vec<Watch>,
    /// The entries of `[watch]` that are left out.
    invalid_watches: Vec<ConfigError>,
    /// `server.default` names no server. It is left out of the rest.
    unknown_default: Option<(Origin, ConfigError)>,
}

impl Resolved {
    /// # Errors
    /// Single values have been validated before, so values that do not fit together are a bug.
    fn new(mut values: Layer) -> Result<Self, ConfigError> {
        let (mut config, mut named) = (defaults(), Value::Null);
        // An empty text unsets an optional setting.
        for (key, (value, _)) in values.iter().filter(|(_, (value, _))| *value != "") {
            let table = match &key.entry {
                Some(entry) => &mut named[&key.section][entry],
                None => &mut config[&key.section],
            };
            table[&key.field] = value.clone();
        }
        let invalid = |message: String| ConfigError::new("settings", message);
        let config: Config = serde_json::from_value(config).map_err(|error| invalid(error.to_string()))?;
        let profiles = entries::all(&named["agents"], entries::profile).map_err(invalid)?;
        let mut list = entries::all(&named["servers"], entries::server).map_err(invalid)?;
        let default = config.server.default.as_deref();
        // A public server needs no entry.
        let is_default = |server: &Server| Some(server.name.as_str()) == default;
        if !list.iter().any(is_default) {
            list.extend(public_servers().find(is_default));
        }
        let mut unknown_default = None;
        let servers = Servers::new(list.clone(), default).unwrap_or_else(|error| {
            let key = Key::new("server", None, "default");
            let origin = values.remove(&key).map_or(Origin::Default, |(_, origin)| origin);
            let error = ConfigError {
                key: Some(key),
                ..ConfigError::new(&origin, Reason::new(&error, error.hint()).in_one_line())
            };
            unknown_default = Some((origin, error));
            Servers::new(list, None).unwrap_or_default()
        });
        let (watches, invalid_watches) = watches(&named["watch"], &servers, &values);
        Ok(Self { config, values, servers, profiles, watches, invalid_watches, unknown_default })
    }
}

/// Converts the entries of `[watch]`, which depend on those of `[servers]`. A repository has one watch: what is known of its issues
/// is kept for the repository.
fn watches(entries: &Value, servers: &Servers, values: &Layer) -> (Vec<Watch>, Vec<ConfigError>) {
    let known = servers.known();
    let (mut watches, mut invalid) = (Vec::<Watch>::new(), Vec::new());
    for (name, entry) in entries.as_object().into_iter().flatten() {
        let entry = serde_json::from_value(entry.clone()).map_err(|error| error.to_string());
        let watch = entry.and_then(|entry| Watch::new(name, entry, &known));
        let watch = watch.and_then(|watch| match watches.iter().find(|other| other.repo == watch.repo) {
            Some(other) => Err(format!("{} has a watch already, watch.{}", watch.repo, other.name)),
            None => Ok(watch),
        });
        match watch {
            Ok(watch) => watches.push(watch),
            Err(message) => {
                let origin = values.get(&Key::new("watch", Some(name), "repo")).map(|(_, origin)| origin);
                let error = ConfigError::new(origin.unwrap_or(&Origin::Default), format!("watch.{name}: {message}"));
                invalid.push(ConfigError { key: Some(Key::new("watch", Some(name), "")), ..error });
            }
        }
    }
    (watches, invalid)
}

fn repositories(home: &Home, servers: &Servers, warnings: &mut Vec<String>) -> Result<Repositories, ConfigError> {
    let path = home.repositories();
    let Some(text) = text(&path)? else { return Ok(Repositories::default()) };
    let (repositories, invalid) = Repositories::parse(&text, &servers.known())
        .map_err(|error| ConfigError::new(path.display(), Reason::new(&error, error.hint()).in_one_line()))?;
    warnings.extend(invalid.iter().map(|error| Reason::new(error, error.hint()).in_one_line()));
    Ok(repositories)
}

fn text(path: &Path) -> Result<Option<String>, ConfigError> {
    let text = bytes(path)?.map(String::from_utf8).transpose();
    text.map_err(|_| ConfigError::new(path.display(), "the file is not valid UTF-8"))
}

/// Returns the script's settings. A directory called `config` is not its file.
fn script_bytes(home: &Home) -> Result<Option<Vec<u8>>, ConfigError> {
    if home.old_config().is_dir() { Ok(None) } else { bytes(&home.old_config()) }
}

fn bytes(path: &Path) -> Result<Option<Vec<u8>>, ConfigError> {
    let bytes = regular_file::read_if_there(path);
    bytes.map_err(|error| ConfigError::new(path.display(), format!("could not read it: {error}")))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;

    fn home() -> (tempfile::TempDir, Home) {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path().join("kugetsu"));
        home.create().unwrap();
        (directory, home)
    }

    fn no_environment(_: &str) -> Option<OsString> {
        None
    }

    fn load(home: &Home) -> Result<Loaded, ConfigError> {
        super::load(home, &no_environment)
    }

    fn origin(loaded: &Loaded, name: &str) -> String {
        loaded.values.get(&Key::parse(name).unwrap()).map_or("default".to_owned(), |(_, origin)| origin.to_string())
    }

    #[test]
    fn without_files_the_defaults_are_in_effect() {
        let (_directory, home) = home();
        let loaded = load(&home).unwrap();
        let settings = &loaded.settings;
        assert_eq!((settings.agents.max, settings.default_agent.as_str()), (3, "opencode"));
        assert_eq!((settings.run.timeout, settings.run.silence), (Duration::from_secs(3600), Duration::from_secs(600)));
        assert!(settings.destroy.check_pr && settings.pm.needs_sandbox() && settings.pm.agent.is_none());
        assert!(settings.servers.list().is_empty() && loaded.warnings.is_empty());
    }

    #[test]
    fn variables_override_the_file_and_the_file_the_script() {
        let (_directory, home) = home();
        let script = "MAX_CONCURRENT_AGENTS=5\nTASK_TIMEOUT_HOURS=2\nDEFAULT_GIT_SERVER=github.com\n";
        fs::write(home.old_config(), script).unwrap();
        fs::write(home.config(), "[agents]\nmax = 6\n[run]\nsilence = \"1m\"\n[pm]\nagent = \"\"\n").unwrap();
        let environment = |name: &str| match name {
            "KUGETSU_RUN_SILENCE" => Some(OsString::from("5m")),
            "KUGETSU_DESTROY_CHECK_CHANGE" => Some(OsString::from("false")),
            _ => None,
        };
        let loaded = super::load(&home, &environment).unwrap();
        let settings = &loaded.settings;
        assert_eq!(
            (settings.agents.max, settings.run.timeout.as_secs(), settings.run.silence.as_secs()),
            (6, 7200, 300)
        );
        assert!(!settings.destroy.check_pr && settings.pm.agent.is_none());
        let renamed = "`$KUGETSU_DESTROY_CHECK_CHANGE` has been renamed to `$KUGETSU_DESTROY_CHECK_PR`";
        assert!(loaded.warnings.iter().any(|warning| warning == renamed), "{:?}", loaded.warnings);
        assert_eq!(origin(&loaded, "agents.max"), format!("{}:2", home.config().display()));
        assert_eq!(origin(&loaded, "run.timeout"), format!("{}:2", home.old_config().display()));
        assert_eq!(origin(&loaded, "run.silence"), "$KUGETSU_RUN_SILENCE");
        assert_eq!(origin(&loaded, "agent.default"), "default");
        assert_eq!(settings.servers.default_server().unwrap().base.as_str(), "https://github.com");
    }

    #[test]
    fn file_that_cannot_be_read_is_not_a_missing_one() {
        let (_directory, home) = home();
        fs::write(home.config(), "[agents]\nmax = 6\n").unwrap();
        load(&home).unwrap().save_last_valid(&home).unwrap();
        for path in [home.config(), home.repositories(), home.env().join("default.env")] {
            let _ = fs::remove_file(&path);
            let is_error = |what: &str| {
                let error = load(&home).map(|loaded| loaded.settings.agents.max).expect_err(what);
                assert!(error.to_string().contains("could not read"), "{what}: {error}");
            };
            fs::create_dir(&path).unwrap();
            is_error("a directory");
            fs::remove_dir(&path).unwrap();
            std::os::unix::fs::symlink(&path, &path).unwrap();
            is_error("a link to itself");
            fs::remove_file(&path).unwrap();
            std::os::unix::fs::symlink("gone", &path).unwrap();
            is_error("a link that leads nowhere");
            fs::remove_file(&path).unwrap();
            load(&home).unwrap();
        }
        fs::create_dir(home.old_config()).unwrap();
        load(&home).unwrap();
    }

    #[test]
    fn errors_name_their_location() {
        let (_directory, home) = home();
        let bad = |name: &str| (name == "KUGETSU_AGENTS_MAX").then(|| OsString::from("lots"));
        assert_eq!(super::load(&home, &bad).unwrap_err().location, "$KUGETSU_AGENTS_MAX");
        fs::write(home.config(), "[server]\ndefault = \"gone\"\n").unwrap();
        let error = load(&home).unwrap().usable().unwrap_err();
        assert!(error.location.ends_with("config.toml:2") && error.message.contains("gone"), "{error}");
        fs::write(home.config(), "").unwrap();
        fs::write(home.old_config(), "DEFAULT_GIT_SERVER=gone\n").unwrap();
        assert!(load(&home).unwrap().usable().unwrap().warnings[0].contains("gone"), "a warning only");
        fs::write(home.repositories(), "[]").unwrap();
        assert!(load(&home).unwrap_err().location.ends_with("repos.json"));
        fs::write(home.repositories(), r#"{"a/b": 3, "a/c": "https://h.example/a/c.git"}"#).unwrap();
        assert_eq!(load(&home).unwrap().warnings.len(), 2);
    }

    #[test]
    fn invalid_file_leaves_the_last_valid_one_in_effect_as_a_whole() {
        let (_directory, home) = home();
        let reload = |text: &str| {
            fs::write(home.config(), text).unwrap();
            let loaded = load(&home)?.usable()?;
            loaded.save_last_valid(&home)?;
            Ok::<_, ConfigError>(loaded)
        };
        let first = reload("[run]\nsilence = \"soon\"\n").unwrap_err();
        assert_eq!(first.location, format!("{}:2", home.config().display()), "there is no valid file yet");
        reload("[run]\nsilence = \"20s\"\n[servers.a]\nurl = \"https://a.example\"\n").unwrap();
        let invalid =
            "[run]\nsilence = \"soon\"\n[agents]\nmax = 5\n[servers.a]\nurl = 3\n[server]\ndefault = \"gone\"\n";
        let loaded = reload(invalid).unwrap();
        assert_eq!((loaded.settings.run.silence.as_secs(), loaded.settings.agents.max), (20, 3));
        assert_eq!((loaded.settings.servers.list().len(), loaded.errors.len()), (1, 3), "{:?}", loaded.errors);
        assert_eq!(loaded.messages().count(), 3);
        assert_eq!(origin(&loaded, "run.silence"), "last valid config.toml");
        assert_eq!(reload("[run]\nsilence =\n").unwrap().settings.run.silence.as_secs(), 20);
        assert_eq!(reload("[agents]\nmax = 5\n").unwrap().settings.agents.max, 5);
        assert!(reload("").unwrap().errors.is_empty());
        let truncated = reload("[agents]\nmax = \"many\"\n").unwrap();
        assert_eq!(truncated.settings.agents.max, 5, "an empty file may be one that an editor is writing");
    }

    #[test]
    fn invalid_watches_are_errors_with_their_line() {
        let (_directory, home) = home();
        let api = "[watch.api]\nrepo = \"https://github.com/acme/api\"\nlabel = \"agent\"\n";
        for (other, line, word) in [
            ("[watch.b]\nrepo = \"https://github.com/acme/b\"\n", 5, "label or assignee"),
            ("[watch.b]\nrepo = \"b\"\nlabel = \"x\"\n", 5, "watch.b: repo"),
            ("[watch.b]\nlabel = \"x\"\nrepo = \"https://github.com/acme/api\"\n", 6, "already, watch.api"),
            ("[watch.b]\nrepo = \"https://github.com/acme/b\"\nlabel = \"x\"\ntrust = \"a b\"\n", 5, "a b"),
        ] {
            fs::write(home.config(), format!("{api}{other}")).unwrap();
            let loaded = load(&home).unwrap();
            let [error] = loaded.errors.as_slice() else { panic!("{other}: {:?}", loaded.errors) };
            assert_eq!(error.location, format!("{}:{line}", home.config().display()), "{other}");
            assert!(error.message.contains(word), "{other}: {}", error.message);
            let names: Vec<&str> = loaded.settings.watches.iter().map(|watch| watch.name.as_str()).collect();
            assert_eq!(names, ["api"], "{other}");
        }
    }

    #[test]
    fn unknown_agents_are_warnings() {
        let (_directory, home) = home();
        fs::write(home.config(), "[agent]\ndefault = \"opencoed\"\n[pm]\nagent = \"mine\"\n").unwrap();
        let loaded = load(&home).unwrap();
        assert!(loaded.errors.is_empty(), "{:?}", loaded.errors);
        let [first, second] = loaded.warnings.as_slice() else { panic!("{:?}", loaded.warnings) };
        assert!(
            first.contains("config.toml:2: agent.default is \"opencoed\"") && first.contains("`opencode`?"),
            "{first}"
        );
        assert!(second.contains("config.toml:4: pm.agent is \"mine\""), "{second}");
        fs::write(home.config(), "[pm]\nagent = \"mine\"\n[agents.mine]\nprogram = \"mine\"\n").unwrap();
        assert!(load(&home).unwrap().warnings.is_empty());
    }

    #[test]
    fn last_valid_file_is_ignored_once_it_is_invalid() {
        let (_directory, home) = home();
        fs::write(last_valid_path(&home), "[agents]\nmax = \"many\"\n").unwrap();
        fs::write(home.config(), "[agents]\nmax = \"lots\"\n").unwrap();
        assert!(load(&home).unwrap().usable().is_err());
    }
    #[test]
    fn default_server_of_the_environment_may_be_in_the_last_valid_file() {
        let (_directory, home) = home();
        let named = |name: &str| (name == "KUGETSU_SERVER_DEFAULT").then(|| OsString::from("work"));
        let with_server = "[servers.work]\nurl = \"https://git.example\"\n";
        fs::write(home.config(), "[agents]\nmax = 5\n").unwrap();
        load(&home).unwrap().save_last_valid(&home).unwrap();
        assert_eq!(super::load(&home, &named).unwrap_err().location, "$KUGETSU_SERVER_DEFAULT");
        // The last valid file has no such server, the present one does.
        fs::write(home.config(), with_server).unwrap();
        let loaded = super::load(&home, &named).unwrap().usable().unwrap();
        assert_eq!(loaded.settings.servers.default_server().unwrap().name, "work");
        loaded.save_last_valid(&home).unwrap();
        // The other way round.
        fs::write(home.config(), "[agents]\nmax = \"many\"\n").unwrap();
        let loaded = super::load(&home, &named).unwrap().usable().unwrap();
        assert_eq!(loaded.settings.servers.default_server().unwrap().name, "work");
        assert!(loaded.errors[0].location.contains("config.toml:2"), "{:?}", loaded.errors);
        fs::write(last_valid_path(&home), [0xff]).unwrap();
        assert!(super::load(&home, &named).unwrap().usable().unwrap_err().location.contains("config.toml:2"));
    }
}
