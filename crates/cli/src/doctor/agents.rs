//! The agents: whether each program is installed and runs, and whether the daemon finds it, too.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use kugetsu_agent::{Profile, VersionError, find_program, profile, program_version};
use kugetsu_api::home::Home;
use kugetsu_engine::Settings;

use super::check::Check;
use crate::env_files;

/// Checks the default agent first, then the others. `daemon_path` is the PATH of the daemon, if one is running.
pub(crate) async fn checks(home: &Home, settings: &Settings, daemon_path: Option<&OsStr>) -> Vec<Check> {
    let own = settings.profiles.iter().map(|agent| agent.name.as_str());
    let mut names: Vec<&str> = vec![&settings.agent.default];
    names.extend(own.filter(|name| *name != settings.agent.default));
    let mut checks = Vec::new();
    for name in names {
        let is_default = name == settings.agent.default;
        match profile(name, &settings.profiles) {
            // The check of its env file reports one that cannot be read.
            Ok(profile) => {
                let settings = with_env_file(home, settings, name);
                checks.extend(agent(&settings, &profile, is_default, daemon_path).await);
            }
            Err(error) => {
                let known = error.known.join(", ");
                let repair = format!("choose one of {known} with `kugetsu config set agent.default <name>`");
                checks.push(Check::bad("agent.program", name, error.to_string(), repair));
            }
        }
    }
    checks
}

/// The settings with the variables that a run of this agent gets: those of its env file, too, if it can be read.
pub(crate) fn with_env_file(home: &Home, settings: &Settings, agent: &str) -> Settings {
    let variables = env_files::merged(home, &[agent]).map(|merged| merged.variables);
    Settings { variables: variables.unwrap_or_else(|_| settings.variables.clone()), ..settings.clone() }
}

async fn agent(settings: &Settings, profile: &Profile, is_default: bool, daemon_path: Option<&OsStr>) -> Vec<Check> {
    let name = profile.name();
    // A broken agent prevents work only if it is the default one.
    let broken = |id, message: String, repair: &str| match is_default {
        true => Check::bad(id, name, message, repair),
        false => Check::warning(id, name, message, repair),
    };
    let own = find_program(profile, &settings.search_path());
    // The PATH of an env file applies to this command and to the daemon alike.
    let is_path_set = settings.variable("PATH").is_some();
    let daemons = daemon_path.filter(|_| !is_path_set).map(|path| find_program(profile, path));
    let mut checks = Vec::new();
    let program = match (&own, &daemons) {
        (Ok(_), Some(Err(_))) => {
            let message =
                "it is on your PATH but not on the PATH of the daemon, which was started in another environment";
            checks.push(broken(
                "agent.path",
                message.to_owned(),
                "restart the daemon from this shell: kugetsu daemon stop; kugetsu daemon start",
            ));
            own
        }
        (Err(_), Some(Ok(path))) => {
            let message = format!("it is on the PATH of the running daemon ({}) but not on yours", path.display());
            let repair = "set a PATH for every daemon: kugetsu env set PATH <value>";
            checks.push(Check::warning("agent.path", name, message, repair));
            Ok(path.clone())
        }
        _ => own,
    };
    let program = match program {
        Ok(program) => program,
        Err(error) => {
            let hint = error.hint().unwrap_or_default();
            let repair = format!("{hint}, or choose another agent with `kugetsu config set agent.default <name>`");
            return vec![broken("agent.program", error.to_string(), &repair)];
        }
    };
    checks.insert(0, version_check(settings, profile, &program, broken).await);
    checks
}

async fn version_check(
    settings: &Settings,
    profile: &Profile,
    program: &Path,
    broken: impl Fn(&'static str, String, &str) -> Check,
) -> Check {
    let (name, id) = (profile.name(), "agent.program");
    let reinstall = "reinstall it and run it with --version";
    match (program_version(profile, program, &settings.variables).await, profile.tested_version()) {
        (Ok(found), Some(tested)) if found != tested => Check::warning(
            id,
            name,
            format!("version {found} at {}; kugetsu is tested with {tested}", program.display()),
            format!("if it misbehaves, install version {tested}"),
        ),
        (Ok(found), _) => Check::ok(id, name, format!("version {found} at {}", program.display())),
        (Err(error @ VersionError::Run(_)), _) | (Err(error), Some(_)) => {
            broken(id, format!("could not run {}: {error}", program.display()), reinstall)
        }
        // An agent that does not print its version can still work.
        (Err(error), None) => {
            Check::warning(id, name, format!("{} does not print its version: {error}", program.display()), reinstall)
        }
    }
}

/// The PATH of a running process of this user.
pub(crate) fn path_of(pid: u32) -> Option<OsString> {
    use std::os::unix::ffi::OsStringExt;
    let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let path = environment.split(|byte| *byte == 0).find_map(|one| one.strip_prefix(b"PATH="))?;
    Some(OsString::from_vec(path.to_vec()))
}
