//! Puts the layers on each other and makes the engine's settings of them.
//!
//! Whoever starts something passes the environment in; nothing here reads it behind anybody's back.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use kugetsu_domain::reference::ForgeKind;
use kugetsu_engine::{Home, Settings};
use kugetsu_forge::repositories::Repositories;
use kugetsu_forge::servers::{Server, Servers};

use crate::{atomic, env_files};

use super::duration;
use super::error::ConfigError;
use super::file;
use super::key::{self, Key};
use super::layer::{Entry, Layer, server};
use super::old_file;
use super::source::Source;

/// The one server that needs no configuration, being public.
const GITHUB: &str = "github.com";

/// A variable of the environment by its name.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The settings in force, and where each came from.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) settings: Settings,
    pub(crate) values: BTreeMap<Key, (String, Source)>,
    /// Where each server and each agent of one's own came from, by its name.
    pub(crate) server_sources: BTreeMap<String, Source>,
    pub(crate) agent_sources: BTreeMap<String, Source>,
    /// What was left out, in words; it stops nothing.
    pub(crate) faults: Vec<String>,
}

/// The environment of this process.
pub(crate) fn own_environment(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// Reads everything.
///
/// # Errors
/// The first mistake in `config.toml`, `repos.json` or the environment, or a file that cannot be read.
pub(crate) fn load(home: &Home, environment: Environment<'_>) -> Result<Loaded, ConfigError> {
    merge(home, file::read(&home.config(), &text(&home.config())?.unwrap_or_default())?, environment)
}

/// Reads what a run needs: as [`load`] with the variables of the env files of its own, and without `repos.json`. While `config.toml` is
/// wrong, what [`keep_good`] kept of it counts, as it does in the daemon.
///
/// # Errors
/// As [`load`], when nothing good was kept.
pub(crate) fn for_run(home: &Home, environment: Environment<'_>, env_files: &[&str]) -> Result<Loaded, ConfigError> {
    let read = |text: String| {
        file::read(&home.config(), &text)
            .and_then(|layer| put_together(home, layer, environment, env_files, |_, _| Ok(Repositories::default())))
    };
    let error = match text(&home.config())?.map_or_else(|| read(String::new()), read) {
        Ok(loaded) => return Ok(loaded),
        Err(error) => error,
    };
    let Some(good) = text(&good_path(home))? else { return Err(error) };
    let mut loaded = read(good)?;
    loaded.faults.push(format!("{error}; the settings from before are used"));
    Ok(loaded)
}

/// Keeps `config.toml` as it is now, for runs that begin while somebody edits it. Called when it was read without error.
///
/// # Errors
/// As the file system says.
pub(crate) fn keep_good(home: &Home) -> Result<(), ConfigError> {
    let now = text(&home.config())?.unwrap_or_default();
    let path = good_path(home);
    if file::read(&home.config(), &now).is_err() || text(&path)?.as_ref() == Some(&now) {
        return Ok(());
    }
    atomic::write(&path, &now)
        .map_err(|error| ConfigError::new(path.display(), format!("it cannot be written: {error}")))
}

/// Puts what `config.toml` says between the other layers.
///
/// # Errors
/// As [`load`].
pub(crate) fn merge(home: &Home, file: Layer, environment: Environment<'_>) -> Result<Loaded, ConfigError> {
    put_together(home, file, environment, &[], |servers, faults| repositories(home, servers, faults))
}

fn good_path(home: &Home) -> PathBuf {
    home.path().join("daemon.settings.toml")
}

fn put_together(
    home: &Home,
    file: Layer,
    environment: Environment<'_>,
    own: &[&str],
    repositories: impl FnOnce(&Servers, &mut Vec<String>) -> Result<Repositories, ConfigError>,
) -> Result<Loaded, ConfigError> {
    let old_path = home.old_config();
    let old = match bytes(&old_path)? {
        Some(bytes) => old_file::read(&old_path, &bytes),
        None => old_file::OldFile::default(),
    };
    let mut faults = old.faults;
    let mut values: BTreeMap<Key, (String, Source)> =
        Key::ALL.into_iter().map(|key| (key, (key.default().to_owned(), Source::Default))).collect();
    for Entry { key, value, source } in [old.layer.values, file.values, variables(environment)?].into_iter().flatten() {
        values.insert(key, (value, source));
    }
    let (servers, server_sources) = servers(&values, old.layer.servers.into_iter().chain(file.servers))?;
    let agent_sources = file.agents.iter().map(|(profile, source)| (profile.name.clone(), source.clone())).collect();
    let repositories = repositories(&servers, &mut faults)?;
    let env =
        env_files::reaching(home, own).map_err(|failure| ConfigError::new(home.env().display(), failure.message))?;
    faults.extend(env.faults);
    let settings = Settings {
        agents_max: value(&values, Key::AgentsMax, key::agents_max)?,
        agent_default: value(&values, Key::AgentDefault, |name| Ok(name.to_owned()))?,
        permissions: value(&values, Key::AgentPermissions, key::permissions)?,
        run_timeout: value(&values, Key::RunTimeout, duration::read)?,
        run_silence: value(&values, Key::RunSilence, duration::read)?,
        agents: file.agents.into_iter().map(|(profile, _)| profile).collect(),
        servers,
        repositories,
        variables: env.variables,
    };
    Ok(Loaded { settings, values, server_sources, agent_sources, faults })
}

/// A setting's value, read; a mistake names its place.
fn value<T>(
    values: &BTreeMap<Key, (String, Source)>,
    key: Key,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Result<T, ConfigError> {
    let (text, source) = found(values, key);
    read(text).map_err(|why| ConfigError::new(source, why))
}

fn found(values: &BTreeMap<Key, (String, Source)>, key: Key) -> (&str, &Source) {
    values.get(&key).map_or((key.default(), &Source::Default), |(value, source)| (value, source))
}

/// The servers of all layers; of one name the last one counts.
fn servers(
    values: &BTreeMap<Key, (String, Source)>,
    configured: impl Iterator<Item = (Server, Source)>,
) -> Result<(Servers, BTreeMap<String, Source>), ConfigError> {
    let mut list: Vec<Server> = Vec::new();
    let mut sources = BTreeMap::new();
    for (server, source) in configured {
        list.retain(|other| other.name != server.name);
        sources.insert(server.name.clone(), source);
        list.push(server);
    }
    let (default, source) = found(values, Key::ServerDefault);
    if default == GITHUB && !sources.contains_key(GITHUB) {
        let github = server(GITHUB, GITHUB, Some(ForgeKind::GitHub.name()), None);
        list.push(github.map_err(|why| ConfigError::new(source, why))?);
        sources.insert(GITHUB.to_owned(), Source::Default);
    }
    let servers = Servers::new(list, Some(default).filter(|name| !name.is_empty()))
        .map_err(|error| ConfigError::new(source, error.to_string()))?;
    Ok((servers, sources))
}

fn variables(environment: Environment<'_>) -> Result<Vec<Entry>, ConfigError> {
    let mut entries = Vec::new();
    for key in Key::ALL {
        let name = key.variable();
        let Some(value) = environment(&name).filter(|value| !value.is_empty()) else { continue };
        let source = Source::Environment(name);
        let value = value.into_string().map_err(|_| ConfigError::new(&source, "its value is not UTF-8"))?;
        key.check(&value).map_err(|why| ConfigError::new(&source, why))?;
        entries.push(Entry { key, value, source });
    }
    Ok(entries)
}

fn repositories(home: &Home, servers: &Servers, faults: &mut Vec<String>) -> Result<Repositories, ConfigError> {
    let path = home.repositories();
    let Some(text) = text(&path)? else { return Ok(Repositories::default()) };
    let (read, entries) = Repositories::read(&text, &servers.known())
        .map_err(|error| ConfigError::new(path.display(), error.to_string()))?;
    faults.extend(entries.iter().map(ToString::to_string));
    Ok(read)
}

fn text(path: &Path) -> Result<Option<String>, ConfigError> {
    let text = bytes(path)?.map(String::from_utf8).transpose();
    text.map_err(|_| ConfigError::new(path.display(), "it is not UTF-8"))
}

fn bytes(path: &Path) -> Result<Option<Vec<u8>>, ConfigError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // The script's `config` is a file; a directory of that name is somebody else's.
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => Ok(None),
        Err(error) => Err(ConfigError::new(path.display(), format!("it cannot be read: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn home() -> (tempfile::TempDir, Home) {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path().join("kugetsu"));
        home.create().unwrap();
        (directory, home)
    }

    fn nothing(_: &str) -> Option<OsString> {
        None
    }

    #[test]
    fn without_anything_the_defaults_hold() {
        let (_directory, home) = home();
        let loaded = load(&home, &nothing).unwrap();
        assert_eq!((loaded.settings.agents_max, loaded.settings.agent_default.as_str()), (3, "opencode"));
        assert_eq!(loaded.settings.run_timeout, Duration::from_secs(3600));
        assert_eq!(loaded.settings.run_silence, Duration::from_secs(600));
        assert!(loaded.settings.servers.list().is_empty(), "no host is built in (R19)");
        assert!(loaded.faults.is_empty());
    }

    #[test]
    fn the_environment_wins_over_the_file_and_the_file_over_the_old_one() {
        let (_directory, home) = home();
        fs::write(home.old_config(), "MAX_CONCURRENT_AGENTS=5\nTASK_TIMEOUT_HOURS=2\nDEFAULT_GIT_SERVER=github.com\n")
            .unwrap();
        fs::write(home.config(), "[agents]\nmax = 6\n[run]\nsilence = \"1m\"\n").unwrap();
        let environment = |name: &str| (name == "KUGETSU_RUN_SILENCE").then(|| OsString::from("5m"));
        let loaded = load(&home, &environment).unwrap();
        assert_eq!(loaded.settings.agents_max, 6);
        assert_eq!(loaded.settings.run_timeout, Duration::from_secs(7200));
        assert_eq!(loaded.settings.run_silence, Duration::from_secs(300));
        let source = |key| loaded.values[&key].1.clone();
        assert_eq!(source(Key::AgentsMax), Source::File { path: home.config(), line: 2 });
        assert_eq!(source(Key::RunTimeout), Source::OldFile { path: home.old_config(), line: 2 });
        assert_eq!(source(Key::RunSilence), Source::Environment("KUGETSU_RUN_SILENCE".to_owned()));
        assert_eq!(source(Key::AgentDefault), Source::Default);
        assert_eq!(loaded.settings.servers.default_server().unwrap().base.as_str(), "https://github.com");
    }

    #[test]
    fn mistakes_name_their_place() {
        let (_directory, home) = home();
        let bad = |name: &str| (name == "KUGETSU_AGENTS_MAX").then(|| OsString::from("lots"));
        assert_eq!(load(&home, &bad).unwrap_err().place, "$KUGETSU_AGENTS_MAX");
        fs::write(home.config(), "[server]\ndefault = \"gone\"\n").unwrap();
        let error = load(&home, &nothing).unwrap_err();
        assert!(error.place.ends_with("config.toml:2") && error.message.contains("gone"), "{error}");
        fs::write(home.config(), "").unwrap();
        fs::write(home.repositories(), "[]").unwrap();
        assert!(load(&home, &nothing).unwrap_err().place.ends_with("repos.json"));
        fs::write(home.repositories(), r#"{"a/b": 3, "a/c": "https://h.example/a/c.git"}"#).unwrap();
        assert_eq!(load(&home, &nothing).unwrap().faults.len(), 1);
    }

    #[test]
    fn b07_the_variables_of_the_agents_own_file_come_last() {
        let (_directory, home) = home();
        fs::write(home.env().join("default.env"), "A=1\n").unwrap();
        fs::write(home.env().join("mine.env"), "A=2\n").unwrap();
        use secrecy::ExposeSecret;
        let value = |loaded: Loaded| loaded.settings.variables[0].value.expose_secret().to_owned();
        assert_eq!(value(load(&home, &nothing).unwrap()), "1");
        assert_eq!(value(for_run(&home, &nothing, &["mine"]).unwrap()), "2");
    }

    #[test]
    fn a_run_begins_with_the_good_settings_while_the_file_is_wrong() {
        let (_directory, home) = home();
        fs::write(home.config(), "[agents]\nmax = 7\n").unwrap();
        keep_good(&home).unwrap();
        fs::write(home.config(), "[agents]\nmax = \n").unwrap();
        fs::write(home.repositories(), "{").unwrap();
        keep_good(&home).unwrap();
        let loaded = for_run(&home, &nothing, &["mine"]).unwrap();
        assert_eq!(loaded.settings.agents_max, 7);
        assert!(loaded.faults[0].contains("config.toml:2"), "{:?}", loaded.faults);
        assert!(load(&home, &nothing).is_err());
        fs::remove_file(good_path(&home)).unwrap();
        assert!(for_run(&home, &nothing, &["mine"]).is_err());
    }
}
