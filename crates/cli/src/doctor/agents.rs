//! The agents: is each one's program there, does it run, and does the daemon find it as well.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use kugetsu_agent::{Profile, VersionError, find_program, profile, program_version};
use kugetsu_engine::Settings;

use super::check::Check;

/// The default agent first, then the others. `daemon` is the search path of the running daemon, if one runs.
pub(crate) async fn checks(settings: &Settings, daemon: Option<&OsStr>) -> Vec<Check> {
    let own = settings.agents.iter().map(|agent| agent.name.as_str());
    let mut names: Vec<&str> = vec![&settings.agent_default];
    names.extend(own.filter(|name| *name != settings.agent_default));
    let mut checks = Vec::new();
    for name in names {
        let is_default = name == settings.agent_default;
        match profile(name, &settings.agents) {
            Ok(profile) => checks.extend(agent(settings, &profile, is_default, daemon).await),
            Err(error) => {
                let repair = "choose one that there is: kugetsu config set agent.default <name>";
                checks.push(Check::bad("agent.program", name, error.to_string(), repair));
            }
        }
    }
    checks
}

async fn agent(settings: &Settings, profile: &Profile, is_default: bool, daemon: Option<&OsStr>) -> Vec<Check> {
    let name = profile.name();
    // One that nobody works with by default keeps nobody from working.
    let wrong = |id, said: String, repair: &str| match is_default {
        true => Check::bad(id, name, said, repair),
        false => Check::warning(id, name, said, repair),
    };
    let here = find_program(profile, &settings.search_path());
    // An env file's PATH counts for both.
    let set = settings.variable("PATH").is_some();
    let there = daemon.filter(|_| !set).map(|path| find_program(profile, path));
    let mut checks = Vec::new();
    let program = match (&here, &there) {
        (Ok(_), Some(Err(_))) => {
            let said = "it is found on your PATH and not on the running daemon's, which is that of whoever started it";
            checks.push(wrong(
                "agent.path",
                said.to_owned(),
                "start the daemon from here: kugetsu daemon stop; kugetsu daemon start",
            ));
            here
        }
        (Err(_), Some(Ok(found))) => {
            let said =
                format!("the running daemon finds it ({}), and your PATH does not name the place", found.display());
            let repair = "keep it for every daemon: kugetsu env set PATH <value>";
            checks.push(Check::warning("agent.path", name, said, repair));
            Ok(found.clone())
        }
        _ => here,
    };
    let program = match program {
        Ok(program) => program,
        Err(error) => {
            let repair = "install it, or choose another agent: kugetsu config set agent.default <name>";
            return vec![wrong("agent.program", error.to_string(), repair)];
        }
    };
    checks.insert(0, starts(profile, &program, wrong).await);
    checks
}

async fn starts(profile: &Profile, program: &Path, wrong: impl Fn(&'static str, String, &str) -> Check) -> Check {
    let (name, id) = (profile.name(), "agent.program");
    let reinstall = "install it anew, and run it once yourself with --version";
    match (program_version(profile, program).await, profile.tested_version()) {
        (Ok(found), Some(tested)) if found != tested => Check::warning(
            id,
            name,
            format!("{} is version {found}; {tested} is the one that kugetsu is tested with", program.display()),
            format!("if it misbehaves, install version {tested}"),
        ),
        (Ok(found), _) => Check::ok(id, name, format!("{} is version {found}", program.display())),
        (Err(error @ VersionError::Run(_)), _) | (Err(error), Some(_)) => {
            wrong(id, format!("{} cannot be started: {error}", program.display()), reinstall)
        }
        // One that does not say its version can still work.
        (Err(error), None) => {
            Check::warning(id, name, format!("{} does not say its version: {error}", program.display()), reinstall)
        }
    }
}

/// The search path of a process of this user's.
pub(crate) fn search_path(pid: u32) -> Option<OsString> {
    use std::os::unix::ffi::OsStringExt;
    let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let path = environment.split(|byte| *byte == 0).find_map(|one| one.strip_prefix(b"PATH="))?;
    Some(OsString::from_vec(path.to_vec()))
}
