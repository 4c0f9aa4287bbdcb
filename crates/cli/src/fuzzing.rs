//! Entry points for the fuzz targets in `fuzz/`. They panic where a property is violated.
#![expect(clippy::expect_used, reason = "a violated property must stop the fuzzer")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use kugetsu_api::home::Home;
use secrecy::ExposeSecret;
use tempfile::TempDir;

use crate::config::load::{Loaded, load};
use crate::config::{edit, schema};
use crate::env_files;

/// Loads `config.toml` and changes a setting in it: the setting has its value, and the others keep theirs.
pub fn settings(data: &[u8]) {
    let (_directory, home) = home();
    fs::write(home.config(), data).expect("config.toml");
    let Ok(before) = load(&home, &|_| None) else { return };
    let is_valid = before.errors.is_empty();
    if edit::set(&home, "agents.max", "7").is_err() {
        assert!(!is_valid, "a valid file can be changed");
        return;
    }
    let after = load(&home, &|_| None).expect("the changed settings");
    assert_eq!(after.errors.is_empty(), is_valid || before.errors.iter().all(|error| is_max(&error.key)));
    if is_valid {
        assert_eq!(after.settings.agents.max, 7);
        assert_eq!(values(&before), values(&after));
    }
}

fn is_max(key: &Option<schema::Key>) -> bool {
    key.as_ref().is_some_and(|key| *key == schema::Key::new("agents", None, "max"))
}

/// All values but that of `agents.max`.
fn values(loaded: &Loaded) -> BTreeMap<String, String> {
    let values = loaded.values.iter().map(|(key, (value, _))| (key.to_string(), value.to_string()));
    values.filter(|(key, _)| key != "agents.max").collect()
}

/// Loads the shell script's settings. No such file is an error.
pub fn script_settings(data: &[u8]) {
    let (_directory, home) = home();
    fs::write(home.old_config(), data).expect("the script's settings");
    let loaded = load(&home, &|_| None).expect("settings");
    assert!(loaded.errors.is_empty(), "{:?}", loaded.errors);
}

/// Sets a variable in an env file and removes it: it has its value in between, and the others keep theirs. `data` is the
/// value, a zero byte and the text of the file.
pub fn env_files(data: &[u8]) {
    let (directory, _home) = home();
    let path = directory.path().join("default.env");
    let (value, file) = match data.iter().position(|byte| *byte == 0) {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, data),
    };
    let value = String::from_utf8_lossy(value);
    fs::write(&path, file).expect("the env file");
    let mut expected = variables(&path);
    if env_files::set(&path, "FUZZED", &value).is_ok() {
        expected.insert("FUZZED".to_owned(), value.into_owned());
        assert_eq!(variables(&path), expected);
        env_files::remove(&path, "FUZZED").expect("the variable that was set");
        expected.remove("FUZZED");
        assert_eq!(variables(&path), expected);
    }
}

fn variables(path: &Path) -> BTreeMap<String, String> {
    let file = env_files::read(path).expect("the env file");
    file.variables.into_iter().map(|one| (one.name, one.value.expose_secret().to_owned())).collect()
}

fn home() -> (TempDir, Home) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let home = directory.path().join("home");
    fs::create_dir(&home).expect("the home");
    (directory, Home::new(home))
}

#[cfg(test)]
mod tests {
    use kugetsu_testkit::corpus::replay;

    #[test]
    fn corpora_of_settings_and_env_files_pass() {
        replay("settings", super::settings);
        replay("script_settings", super::script_settings);
        replay("env_files", super::env_files);
    }
}
