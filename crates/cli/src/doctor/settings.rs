//! The settings and the env files: whether they are valid, and private.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use kugetsu_api::home::Home;

use super::check::{Check, Fix};
use crate::config::layer::ConfigError;
use crate::config::load::Loaded;
use crate::env_files;

const ID: &str = "settings";
const CORRECT: &str = "correct it; the daemon rereads the file at once";

pub(crate) fn checks(home: &Home, loaded: &Result<Loaded, ConfigError>) -> Vec<Check> {
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(error) => return vec![Check::bad(ID, &error.location, &error.message, CORRECT)],
    };
    let mut checks: Vec<Check> = Vec::new();
    for ConfigError { location, message, .. } in &loaded.errors {
        checks.push(match loaded.has_last_valid {
            true => Check::warning(ID, location, format!("{message}; the last valid settings stay in effect"), CORRECT),
            // No daemon can start.
            false => Check::bad(ID, location, message, CORRECT),
        });
    }
    let env = home.env().display().to_string();
    let warnings = loaded.warnings.iter().filter(|warning| !warning.starts_with(&env));
    checks.extend(warnings.map(|warning| Check::warning(ID, "", warning, "correct or remove it")));
    if checks.is_empty() {
        checks.push(Check::ok(ID, home.config().display().to_string(), "all settings are valid"));
    }
    checks
}

pub(crate) fn env_checks(home: &Home) -> Vec<Check> {
    let agents = match env_files::agents(home) {
        Ok(agents) => agents,
        Err(error) => {
            let repair = format!("chmod 700 {}", home.env().display());
            return vec![Check::bad("env.file", home.env().display().to_string(), error.to_string(), repair)];
        }
    };
    let mut checks = Vec::new();
    for path in agents.iter().filter_map(|agent| env_files::path(home, agent).ok()) {
        let shown = path.display().to_string();
        let mode = fs::metadata(&path).map(|metadata| metadata.permissions().mode() & 0o777);
        if let Ok(mode) = mode
            && mode & 0o077 != 0
        {
            let message = format!("others can read it (mode {mode:o}), and it may contain tokens");
            let check = Check::warning("env.private", &shown, message, format!("chmod 600 {shown}"));
            checks.push(check.with_fix(Fix::Private(path.clone())));
        }
        checks.extend(match env_files::read(&path) {
            Ok(file) if file.diagnostics.is_empty() => vec![Check::ok("env.file", shown, "every line is valid")],
            Ok(file) => file.diagnostics.iter().map(|one| Check::warning("env.file", "", one, CORRECT)).collect(),
            Err(error) => vec![Check::bad("env.file", &shown, error.to_string(), format!("chmod 600 {shown}"))],
        });
    }
    checks
}
