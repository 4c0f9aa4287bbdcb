//! The settings and the env files: what in them cannot be used, and who may read them.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use kugetsu_api::home::Home;

use super::check::{Check, Fix};
use crate::config::error::ConfigError;
use crate::config::load::{Loaded, has_good};
use crate::env_files;

const ID: &str = "settings";
const CORRECT: &str = "correct it there; it is read again at once";

/// What the files say, mistakes with their lines.
pub(crate) fn checks(home: &Home, looked: &Result<Loaded, ConfigError>) -> Vec<Check> {
    let loaded = match looked {
        Ok(loaded) => loaded,
        Err(error) => return vec![Check::bad(ID, &error.place, &error.message, CORRECT)],
    };
    // A mistake is bad where nothing good is known that holds in its place.
    let is_usable = has_good(home);
    let mut checks: Vec<Check> = Vec::new();
    for one in &loaded.refused {
        let (place, said) = (&one.error.place, &one.error.message);
        checks.push(match is_usable {
            true => Check::warning(ID, place, format!("{said}; what was set before holds"), CORRECT),
            false => Check::bad(ID, place, said, CORRECT),
        });
    }
    let env = home.env().display().to_string();
    let faults = loaded.faults.iter().filter(|fault| !fault.starts_with(&env));
    checks.extend(faults.map(|fault| Check::warning(ID, "", fault, "correct or remove it")));
    if checks.is_empty() {
        checks.push(Check::ok(ID, home.config().display().to_string(), "all of them can be used"));
    }
    checks
}

/// Each env file.
pub(crate) fn env(home: &Home) -> Vec<Check> {
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
        let mode = fs::metadata(&path).map(|found| found.permissions().mode() & 0o777);
        if let Ok(mode) = mode
            && mode & 0o077 != 0
        {
            let said = format!("others can read it (mode {mode:o}), and tokens may stand in it");
            let check = Check::warning("env.private", &shown, said, format!("chmod 600 {shown}"));
            checks.push(check.fixed_by(Fix::Private(path.clone())));
        }
        checks.extend(match env_files::read(&path) {
            Ok(file) if file.faults.is_empty() => vec![Check::ok("env.file", shown, "every line can be used")],
            Ok(file) => file.faults.iter().map(|fault| Check::warning("env.file", "", fault, CORRECT)).collect(),
            Err(error) => vec![Check::bad("env.file", &shown, error.to_string(), format!("chmod 600 {shown}"))],
        });
    }
    checks
}
