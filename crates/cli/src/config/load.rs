//! Puts the layers on each other and makes the engine's settings of them.
//!
//! Whoever starts something passes the environment in; nothing here reads it behind anybody's back.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use kugetsu_api::home::Home;
use kugetsu_domain::text::with_hint;
use kugetsu_engine::Settings;
use kugetsu_forge::repositories::Repositories;
use kugetsu_forge::servers::{Server, Servers, public_servers};

use crate::{atomic, env_files};

use super::duration;
use super::error::ConfigError;
use super::file::{self, Invalid, Part};
use super::key::{self, Key};
use super::layer::{Entry, Layer};
use super::old_file;
use super::source::Source;
use super::write;

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
    pub(crate) warnings: Vec<String>,
    /// Mistakes in `config.toml`. What was there before them goes on to hold.
    pub(crate) invalid: Vec<Invalid>,
}

/// The environment of this process.
pub(crate) fn own_environment(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// Reads everything. For what is wrong in `config.toml`, that counts which [`keep_good`] kept of it.
///
/// # Errors
/// The first mistake in `config.toml` when nothing good was kept, in `repos.json` or the environment, or a file that
/// cannot be read.
pub(crate) fn load(home: &Home, environment: Environment<'_>) -> Result<Loaded, ConfigError> {
    in_force(home, environment).map(Loaded::telling)
}

/// As [`load`]; mistakes are told apart from what was left out.
///
/// # Errors
/// As [`load`].
pub(crate) fn in_force(home: &Home, environment: Environment<'_>) -> Result<Loaded, ConfigError> {
    usable(home, look(home, environment)?)
}

/// As [`load`], to be shown and not to be worked with: mistakes are told, and never an error.
///
/// # Errors
/// A mistake anywhere else than in `config.toml`.
pub(crate) fn look(home: &Home, environment: Environment<'_>) -> Result<Loaded, ConfigError> {
    merge(home, FromFile::read(home)?, environment)
}

/// Reads what a run needs: as [`load`] with the variables of the env files of its own, and without `repos.json`.
///
/// # Errors
/// As [`load`].
pub(crate) fn for_run(home: &Home, environment: Environment<'_>, env_files: &[&str]) -> Result<Loaded, ConfigError> {
    let loaded = put_together(home, FromFile::read(home)?, environment, env_files, |_, _| Ok(Repositories::default()))?;
    usable(home, loaded).map(Loaded::telling)
}

impl Loaded {
    /// The same with its mistakes among what is told.
    fn telling(mut self) -> Self {
        self.warnings.extend(self.invalid.iter().map(|one| format!("{}; what was set before is used", one.error)));
        self
    }
}

/// A mistake is an error where nothing is known that could stand in its place.
fn usable(home: &Home, loaded: Loaded) -> Result<Loaded, ConfigError> {
    match loaded.invalid.first() {
        Some(mistake) if !has_good(home) => Err(mistake.error.clone()),
        _ => Ok(loaded),
    }
}

/// Keeps what `config.toml` says, for whatever becomes of it: mistakes are kept as what was in their places before.
///
/// # Errors
/// As the file system says.
pub(crate) fn keep_good(home: &Home, refused: &[Invalid]) -> Result<(), ConfigError> {
    let Ok(Some(now)) = text(&home.config()).map(|now| now.or_else(|| Some(String::new()))) else { return Ok(()) };
    let path = good_path(home);
    let kept = text(&path)?;
    let good = match (refused, &kept) {
        // An editor that writes a file anew makes it empty first.
        ([], Some(_)) if now.is_empty() => return Ok(()),
        ([], _) => now,
        (_, None) => return Ok(()),
        (mistakes, Some(kept)) => match write::mended(&now, kept, mistakes) {
            Some(good) => good,
            None => return Ok(()),
        },
    };
    // It may have changed since it was read.
    let is_good = file::read(&path, &good).is_ok_and(|read| read.invalid.is_empty());
    if !is_good || kept.as_ref() == Some(&good) {
        return Ok(());
    }
    atomic::write(&path, &good)
        .map_err(|error| ConfigError::new(path.display(), format!("it cannot be written: {error}")))
}

/// What `config.toml` says, with what it said before in the places of its mistakes.
#[derive(Debug)]
pub(crate) struct FromFile {
    layer: Layer,
    warnings: Vec<ConfigError>,
    invalid: Vec<Invalid>,
    /// What was kept of it.
    before: Layer,
}

impl FromFile {
    fn read(home: &Home) -> Result<Self, ConfigError> {
        let path = home.config();
        let kept = text(&good_path(home))?.map(|kept| file::read(&path, &kept));
        let before = kept.and_then(Result::ok).map(|kept| kept.layer).unwrap_or_default();
        let read = text(&path).and_then(|text| file::read(&path, &text.unwrap_or_default()));
        let file::Read { layer, warnings, invalid: refused } = read.unwrap_or_else(|error| file::Read {
            invalid: vec![Invalid { part: Part::Everything, error }],
            ..file::Read::default()
        });
        let mut file = Self { layer, warnings, invalid: Vec::new(), before };
        refused.into_iter().for_each(|mistake| file.refuse(mistake));
        Ok(file)
    }

    /// Takes a part away, and puts what was there before in its place.
    fn refuse(&mut self, mistake: Invalid) {
        let source = Source::Before(mistake.error.place.clone());
        let (part, layer) = (&mistake.part, &mut self.layer);
        let is_meant = |named: Part| matches!(part, Part::Everything) || *part == named;
        layer.values.retain(|one| *part != Part::Value(one.key));
        for one in self.before.values.iter().filter(|one| is_meant(Part::Value(one.key))) {
            layer.values.push(Entry { source: source.clone(), ..one.clone() });
        }
        for (server, _) in self.before.servers.iter().filter(|(one, _)| is_meant(Part::Server(one.name.clone()))) {
            layer.servers.push((server.clone(), source.clone()));
        }
        for (agent, _) in self.before.agents.iter().filter(|(one, _)| is_meant(Part::Agent(one.name.clone()))) {
            layer.agents.push((agent.clone(), source.clone()));
        }
        self.invalid.push(mistake);
    }
}

impl From<file::Read> for FromFile {
    fn from(read: file::Read) -> Self {
        Self { layer: read.layer, warnings: read.warnings, invalid: read.invalid, before: Layer::default() }
    }
}

/// Puts what `config.toml` says between the other layers.
///
/// # Errors
/// As [`load`].
pub(crate) fn merge(home: &Home, file: FromFile, environment: Environment<'_>) -> Result<Loaded, ConfigError> {
    put_together(home, file, environment, &[], |servers, faults| repositories(home, servers, faults))
}

/// Whether something good was kept that stands in for mistakes.
pub(crate) fn has_good(home: &Home) -> bool {
    good_path(home).exists()
}

fn good_path(home: &Home) -> PathBuf {
    home.path().join("daemon.settings.toml")
}

fn put_together(
    home: &Home,
    mut file: FromFile,
    environment: Environment<'_>,
    own: &[&str],
    repositories: impl FnOnce(&Servers, &mut Vec<String>) -> Result<Repositories, ConfigError>,
) -> Result<Loaded, ConfigError> {
    let old_path = home.old_config();
    let old = match bytes(&old_path)? {
        Some(bytes) => old_file::read(&old_path, &bytes),
        None => old_file::OldFile::default(),
    };
    let variables = variables(environment)?;
    let mut values = values(&old.layer, &file.layer, &variables);
    let (servers, server_sources) = match servers(&values, &old.layer, &file.layer) {
        Ok(found) => found,
        Err(error) if error.place == found(&values, Key::ServerDefault).1.to_string() => {
            file.refuse(Invalid { part: Part::Value(Key::ServerDefault), error });
            values = self::values(&old.layer, &file.layer, &variables);
            self::servers(&values, &old.layer, &file.layer)?
        }
        Err(error) => return Err(error),
    };
    let mut warnings = old.diagnostics;
    warnings.extend(file.warnings.iter().map(ToString::to_string));
    let agents = file.layer.agents;
    let agent_sources = agents.iter().map(|(profile, source)| (profile.name.clone(), source.clone())).collect();
    let repositories = repositories(&servers, &mut warnings)?;
    let env =
        env_files::merged(home, own).map_err(|failure| ConfigError::new(home.env().display(), failure.message))?;
    warnings.extend(env.diagnostics);
    let or_none = |key| Some(found(&values, key).0).filter(|text| !text.trim().is_empty()).map(str::to_owned);
    let settings = Settings {
        agents_max: value(&values, Key::AgentsMax, key::agents_max)?,
        agent_default: value(&values, Key::AgentDefault, |name| Ok(name.to_owned()))?,
        permissions: value(&values, Key::AgentPermissions, key::permissions)?,
        run_timeout: value(&values, Key::RunTimeout, duration::read)?,
        run_silence: value(&values, Key::RunSilence, duration::read)?,
        temp_dir: or_none(Key::RunTempDir).map(PathBuf::from),
        queue_keep: value(&values, Key::QueueKeep, duration::read)?,
        check_pr: value(&values, Key::DestroyCheckChange, key::switch)?,
        pm_agent: or_none(Key::PmAgent),
        pm_model: or_none(Key::PmModel),
        pm_cage: value(&values, Key::PmCage, key::cage)?,
        agents: agents.into_iter().map(|(profile, _)| profile).collect(),
        servers,
        repositories,
        variables: env.variables,
    };
    Ok(Loaded { settings, values, server_sources, agent_sources, warnings, invalid: file.invalid })
}

/// The values of all layers; a later one wins.
fn values(old: &Layer, file: &Layer, variables: &[Entry]) -> BTreeMap<Key, (String, Source)> {
    let mut values: BTreeMap<Key, (String, Source)> =
        Key::ALL.into_iter().map(|key| (key, (key.default().to_owned(), Source::Default))).collect();
    for one in old.values.iter().chain(&file.values).chain(variables) {
        values.insert(one.key, (one.value.clone(), one.source.clone()));
    }
    values
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
    old: &Layer,
    file: &Layer,
) -> Result<(Servers, BTreeMap<String, Source>), ConfigError> {
    let mut list: Vec<Server> = Vec::new();
    let mut sources = BTreeMap::new();
    for (server, source) in old.servers.iter().chain(&file.servers) {
        list.retain(|other| other.name != server.name);
        sources.insert(server.name.clone(), source.clone());
        list.push(server.clone());
    }
    let (default, source) = found(values, Key::ServerDefault);
    // The public ones need no configuration.
    if !sources.contains_key(default)
        && let Some(public) = public_servers().find(|server| server.name == default)
    {
        sources.insert(public.name.clone(), Source::Default);
        list.push(public);
    }
    let servers = Servers::new(list, Some(default).filter(|name| !name.is_empty()))
        .map_err(|error| ConfigError::new(source, with_hint(&error, error.hint())))?;
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
    let (read, entries) = Repositories::parse(&text, &servers.known())
        .map_err(|error| ConfigError::new(path.display(), with_hint(&error, error.hint())))?;
    faults.extend(entries.iter().map(|error| with_hint(error, error.hint())));
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
        assert!(loaded.warnings.is_empty());
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
        assert_eq!(load(&home, &nothing).unwrap().warnings.len(), 1);
    }

    #[test]
    fn the_variables_of_the_agents_own_file_come_last() {
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
        keep_good(&home, &[]).unwrap();
        fs::write(home.config(), "[agents]\nmax = \n").unwrap();
        fs::write(home.repositories(), "{").unwrap();
        let loaded = for_run(&home, &nothing, &["mine"]).unwrap();
        keep_good(&home, &loaded.invalid).unwrap();
        assert_eq!(loaded.settings.agents_max, 7);
        assert!(loaded.warnings[0].contains("config.toml:2"), "{:?}", loaded.warnings);
        assert!(load(&home, &nothing).is_err(), "repos.json is wrong");
        fs::remove_file(good_path(&home)).unwrap();
        assert!(for_run(&home, &nothing, &["mine"]).is_err());
    }

    #[test]
    fn a_wrong_value_leaves_what_was_before_in_force_and_the_rest_counts() {
        let (_directory, home) = home();
        let taken = |text: &str| {
            fs::write(home.config(), text).unwrap();
            let loaded = load(&home, &nothing)?;
            keep_good(&home, &loaded.invalid)?;
            Ok::<_, ConfigError>(loaded)
        };
        assert_eq!(taken("[run]\nsilence = \"soon\"\n").unwrap_err().place, format!("{}:2", home.config().display()));
        taken("[run]\nsilence = \"20s\"\n[servers.a]\nurl = \"https://a.example\"\n").unwrap();
        let wrong =
            "[run]\nsilence = \"soon\"\n[agents]\nmax = 5\n[servers.a]\nurl = 3\n[server]\ndefault = \"gone\"\n";
        let loaded = taken(wrong).unwrap();
        assert_eq!((loaded.settings.run_silence, loaded.settings.agents_max), (Duration::from_secs(20), 5));
        assert_eq!(loaded.settings.servers.list().len(), 1);
        assert_eq!(loaded.invalid.len(), 3, "{:?}", loaded.invalid);
        let told = loaded.warnings.iter().filter(|fault| fault.ends_with("what was set before is used")).count();
        assert_eq!(told, 3, "doctor tells them: {:?}", loaded.warnings);
        let source = format!("before the mistake in {}:2", home.config().display());
        assert_eq!(loaded.values[&Key::RunSilence].1.to_string(), source);
        // What was taken beside a mistake is what was before the next one.
        assert_eq!(taken("[agents]\nmax = \"many\"\n").unwrap().settings.agents_max, 5);
        assert_eq!(taken("[run]\nsilence =\n").unwrap().settings.agents_max, 5);
        assert!(taken("").unwrap().invalid.is_empty());
        let seen_half_written = taken("[agents]\nmax = \"many\"\n").unwrap();
        assert_eq!(seen_half_written.settings.agents_max, 5, "a file that was empty for a moment");
    }

    #[test]
    fn a_setting_that_is_not_known_is_said_and_stops_nothing() {
        let (_directory, home) = home();
        fs::write(home.config(), "[run]\ntimout = \"2h\"\n[agents]\nmax = 4\n").unwrap();
        let loaded = load(&home, &nothing).unwrap();
        assert_eq!(loaded.settings.agents_max, 4);
        assert!(
            loaded.warnings[0].contains("config.toml:2") && loaded.warnings[0].contains("run.timeout"),
            "{loaded:?}"
        );
    }
}
