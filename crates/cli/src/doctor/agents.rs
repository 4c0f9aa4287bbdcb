//! The agents: whether each program is installed and runs, whether the daemon finds it, too, and whether it is logged in.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use kugetsu_agent::{
    Profile, RuntimeState, VersionError, agent_names, find_program, printed_version, profile, program_version,
};
use kugetsu_api::home::Home;
use kugetsu_engine::Settings;

use super::check::Check;
use crate::agents::login::{LoginState, Variables, state};
use crate::agents::report::{AgentReport, reports};
use crate::config::load::own_environment;
use crate::env_files;

/// Checks the default agent first, then the others that are installed or have an entry in the settings. `daemon_path` is the
/// PATH of the daemon, if one is running.
pub(crate) async fn checks(home: &Home, settings: &Settings, daemon_path: Option<&OsStr>) -> Vec<Check> {
    let default = &settings.default_agent;
    let mut checks = Vec::new();
    if let Err(error) = profile(default, &settings.profiles) {
        let known = error.known.join(", ");
        let repair = format!("choose one of {known} with `kugetsu config set agent.default <name>`");
        checks.push(Check::bad("agent.program", default, error.to_string(), repair));
    }
    let reports = reports(home, used(home, settings), &own_environment).await;
    for report in &reports {
        let is_default = report.profile.name() == *default;
        checks.extend(agent(home, report, is_default, daemon_path).await);
        if report.program.is_ok() {
            checks.extend(runtime(report, is_default));
        }
        if report.program.is_ok() || is_default {
            checks.extend(login(&report.profile, &report.login, is_default, ""));
        }
    }
    checks.extend(coordinator(home, settings, &reports));
    let default = reports.iter().find(|report| report.profile.name() == *default);
    if let Some(exceptions) = default.map(|report| report.profile.exceptions()).filter(|all| !all.is_empty()) {
        let texts: Vec<&str> = exceptions.iter().map(|exception| exception.text()).collect();
        checks.push(Check::ok("agent.exceptions", &settings.default_agent, format!("note: {}", texts.join(" "))));
    }
    checks
}

/// The default agent, and the others that are installed or have an entry in the settings.
fn used(home: &Home, settings: &Settings) -> Vec<Profile> {
    let default = &settings.default_agent;
    let mut names = vec![default.clone()];
    names.extend(agent_names(&settings.profiles).into_iter().filter(|name| name != default));
    let is_used = |profile: &Profile| {
        let name = profile.name();
        name == *default
            || settings.pm.agent.as_deref() == Some(name)
            || settings.profiles.iter().any(|entry| entry.name == name)
            || find_program(profile, &Variables::read(home, &[name], &own_environment).search_path()).is_ok()
    };
    let profiles = names.iter().filter_map(|name| profile(name, &settings.profiles).ok());
    profiles.filter(is_used).collect()
}

/// The check of something without which an agent does not work: that prevents work only if it is the default one.
fn broken(is_default: bool, id: &'static str, name: &str, message: String, repair: &str) -> Check {
    match is_default {
        true => Check::bad(id, name, message, repair),
        false => Check::warning(id, name, message, repair),
    }
}

async fn agent(home: &Home, report: &AgentReport, is_default: bool, daemon_path: Option<&OsStr>) -> Vec<Check> {
    let profile = &report.profile;
    let name = profile.name();
    let variables = Variables::read(home, &[name], &own_environment);
    // The PATH of an env file applies to this command and to the daemon alike.
    let is_path_set = variables.files.iter().any(|variable| variable.name == "PATH");
    let daemons = daemon_path.filter(|_| !is_path_set).map(|path| find_program(profile, path));
    let mut checks = Vec::new();
    let (program, version) = match (&report.program, &report.version, daemons) {
        (Ok(program), Some(version), daemons) => {
            if let Some(Err(_)) = daemons {
                let message =
                    "it is on your PATH but not on the PATH of the daemon, which was started in another environment";
                let repair = "restart the daemon from this shell: kugetsu daemon stop; kugetsu daemon start";
                checks.push(broken(is_default, "agent.path", name, message.to_owned(), repair));
            }
            // The package of an agent that does not start has a version, too.
            let printed = match version {
                Ok(_) if is_default => Some(printed_version(profile, program, &variables.files).await),
                _ => None,
            };
            (program.clone(), printed)
        }
        (_, _, Some(Ok(path))) => {
            let message = format!("it is on the PATH of the running daemon ({}) but not on yours", path.display());
            let repair = "set a PATH for every daemon: kugetsu env set PATH <value>";
            checks.push(Check::warning("agent.path", name, message, repair));
            let version = program_version(profile, &path, &variables.files).await;
            (path, Some(version))
        }
        (Err(error), ..) => {
            let hint = error.hint().unwrap_or_default();
            let repair = format!("{hint}, and `kugetsu config set agent.default <name>`");
            return vec![broken(is_default, "agent.program", name, error.to_string(), &repair)];
        }
        (Ok(_), None, _) => return checks,
    };
    if let Some(version) = version.as_ref().or(report.version.as_ref()) {
        checks.insert(0, version_check(profile, &program, version.as_deref(), is_default));
    }
    checks
}

fn version_check(profile: &Profile, program: &Path, version: Result<&str, &VersionError>, is_default: bool) -> Check {
    let (name, id) = (profile.name(), "agent.program");
    let reinstall = "reinstall it and run it with --version";
    match (version, profile.tested_version()) {
        (Ok(found), Some(tested)) if found != tested => Check::warning(
            id,
            name,
            format!("version {found} at {}; kugetsu is tested with {tested}", program.display()),
            format!("if it misbehaves, install version {tested}"),
        ),
        (Ok(found), _) => Check::ok(id, name, format!("version {found} at {}", program.display())),
        (Err(error @ VersionError::TimedOut { .. }), _) => {
            Check::unknown(id, name, format!("the version of {} is unknown: {error}", program.display()))
        }
        // An agent that does not print its version can still work.
        (Err(error @ (VersionError::Failed { .. } | VersionError::Empty { .. })), None) => {
            Check::warning(id, name, format!("{} does not print its version: {error}", program.display()), reinstall)
        }
        (Err(error), _) => {
            let message = format!("could not run {}: {error}", program.display());
            broken(is_default, id, name, message, reinstall)
        }
    }
}

/// The program that runs the agent, if it is looked up on PATH.
fn runtime(report: &AgentReport, is_default: bool) -> Option<Check> {
    let (name, id) = (report.profile.name(), "agent.runtime");
    let needs = report.profile.installation().runtime?;
    if let Some(problem) = report.runtime_problem() {
        let repair = format!("install {} {} or newer, then reinstall the agent", needs.program, needs.at_least);
        return Some(broken(is_default, id, name, problem, &repair));
    }
    match report.runtime.as_ref()? {
        RuntimeState::Present(found) => Some(Check::ok(id, name, format!("{} is version {found}", needs.program))),
        _ => Some(Check::unknown(id, name, format!("{} does not print its version", needs.program))),
    }
}

/// `whose` is an addition to the name of the agent.
fn login(profile: &Profile, state: &LoginState, is_default: bool, whose: &str) -> Option<Check> {
    let (id, subject) = ("agent.login", format!("{}{whose}", profile.name()));
    if !profile.is_built_in() {
        let why = "not known whether it is logged in: only a run shows that";
        return is_default.then(|| Check::unknown(id, subject, why));
    }
    let variable = profile.login().variables.first();
    let by_variable = variable.map(|name| format!(", or set {name}: kugetsu env set {name} - {}", profile.name()));
    let repair = format!("log in with {}{}", profile.how_to_log_in(), by_variable.unwrap_or_default());
    Some(match state {
        LoginState::LoggedIn(source) => {
            Check::ok(id, subject, format!("{source}; only a run shows whether the provider accepts it"))
        }
        LoginState::NotLoggedIn if is_default => Check::warning(id, subject, "not logged in", repair),
        LoginState::NotLoggedIn => Check::unknown(id, subject, "not logged in").with_repair(repair),
        LoginState::Unknown => {
            let message = "not known whether it is logged in: there is no login file, key or configured provider, but it may need none or keep it elsewhere";
            Check::unknown(id, subject, message).with_repair(repair)
        }
    })
}

/// The login of the coordinator's agent, whose env file wins over that of the agent. `None` if it is that of the agent.
fn coordinator(home: &Home, settings: &Settings, reports: &[AgentReport]) -> Option<Check> {
    let name = settings.pm.agent.as_ref().unwrap_or(&settings.default_agent);
    let report = reports.iter().find(|report| report.profile.name() == *name)?;
    let variables = Variables::read(home, &[name, env_files::PM_AGENT], &own_environment);
    let state = state(&report.profile, &variables);
    let is_other = state != report.login || *name != settings.default_agent;
    is_other.then(|| login(&report.profile, &state, true, " (coordinator)"))?
}

/// The PATH of a running process of this user.
pub(crate) fn path_of(pid: u32) -> Option<OsString> {
    use std::os::unix::ffi::OsStringExt;
    let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let path = environment.split(|byte| *byte == 0).find_map(|one| one.strip_prefix(b"PATH="))?;
    Some(OsString::from_vec(path.to_vec()))
}
