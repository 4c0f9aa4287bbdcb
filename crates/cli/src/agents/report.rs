//! Everything about an agent on this machine, for `kugetsu agents` and `kugetsu doctor`.

use std::ffi::OsString;
use std::path::PathBuf;

use kugetsu_agent::{NotInstalled, Profile, RuntimeState, VersionError, find_program, program_version};
use kugetsu_api::home::Home;
use serde::Serialize;
use tokio::task::JoinSet;

use super::login::{LoginState, Variables, state};

pub(crate) struct AgentReport {
    pub(crate) profile: Profile,
    pub(crate) program: Result<PathBuf, NotInstalled>,
    /// `None` if it is not installed.
    pub(crate) version: Option<Result<String, VersionError>>,
    /// `None` if it needs no other program, or has brought its own.
    pub(crate) runtime: Option<RuntimeState>,
    pub(crate) login: LoginState,
}

/// Looks agents up, all at once: some take seconds to print their version. The programs write no more than their `--version`
/// does.
pub(crate) async fn reports(
    home: &Home,
    profiles: Vec<Profile>,
    environment: &dyn Fn(&str) -> Option<OsString>,
) -> Vec<AgentReport> {
    let mut lookups = JoinSet::new();
    let mut logins = Vec::new();
    for (number, profile) in profiles.into_iter().enumerate() {
        let variables = Variables::read(home, &[profile.name()], environment);
        logins.push(state(&profile, &variables));
        let search_path = variables.search_path();
        let files = variables.files;
        lookups.spawn(async move {
            let program = find_program(&profile, &search_path);
            let runtime = profile.installation().runtime;
            let runtime = runtime.filter(|runtime| program.as_ref().map_or(true, |program| runtime.runs(program)));
            let version = async {
                match &program {
                    Ok(program) => Some(program_version(&profile, program, &files).await),
                    Err(_) => None,
                }
            };
            let runtime = async {
                match runtime {
                    Some(runtime) => Some(runtime.state(&search_path).await),
                    None => None,
                }
            };
            let (version, runtime) = tokio::join!(version, runtime);
            (number, profile, program, version, runtime)
        });
    }
    let mut found = lookups.join_all().await;
    found.sort_by_key(|(number, ..)| *number);
    let reports = found.into_iter().zip(logins);
    let report =
        |((_, profile, program, version, runtime), login)| AgentReport { profile, program, version, runtime, login };
    reports.map(report).collect()
}

impl AgentReport {
    /// A sentence about a missing or old runtime; `None` if nothing is known to be wrong.
    pub(crate) fn runtime_problem(&self) -> Option<String> {
        self.profile.installation().runtime?.problem(self.runtime.as_ref()?)
    }

    pub(crate) fn json(&self, default: &str) -> AgentJson {
        let profile = &self.profile;
        let installation = profile.installation();
        let runtime = installation.runtime.map(|needs| RuntimeJson {
            program: needs.program,
            at_least: needs.at_least,
            found: match &self.runtime {
                Some(RuntimeState::Present(found) | RuntimeState::TooOld(found)) => Some(found.clone()),
                _ => None,
            },
            problem: self.runtime_problem(),
        });
        AgentJson {
            name: profile.name().to_owned(),
            default: profile.name() == default,
            built_in: profile.is_built_in(),
            program: self.program.as_ref().ok().map(|program| program.display().to_string()),
            version: self.version.as_ref().and_then(|version| version.as_ref().ok()).cloned(),
            tested_version: profile.tested_version(),
            runtime,
            install: Some(installation.command).filter(|command| !command.is_empty()),
            login: self.login.name(),
            login_source: match &self.login {
                LoginState::LoggedIn(source) => Some(source.clone()),
                LoginState::NotLoggedIn | LoginState::Unknown => None,
            },
            log_in: profile.how_to_log_in(),
            permissions: profile.permission_support().0.name(),
            resume: profile.resume_support().0.name(),
            tokens: profile.token_support().0.name(),
            cost: profile.cost_support().0.name(),
            delete: profile.deletion_support().0.name(),
            tools: profile.tool_support().0.name(),
            attach: profile.attach_support().0.name(),
            trailers: profile.trailer_support().0.name(),
            withheld: profile.forge_tokens(),
            exceptions: profile.exceptions().iter().map(|exception| exception.text()).collect(),
        }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct AgentJson {
    name: String,
    /// Whether tasks that name no agent use it.
    default: bool,
    built_in: bool,
    /// The path; null if it is not installed.
    program: Option<String>,
    version: Option<String>,
    tested_version: Option<&'static str>,
    runtime: Option<RuntimeJson>,
    /// The command that installs it.
    install: Option<&'static str>,
    login: &'static str,
    login_source: Option<String>,
    /// How to log in, for people.
    log_in: String,
    permissions: &'static str,
    resume: &'static str,
    tokens: &'static str,
    cost: &'static str,
    delete: &'static str,
    /// Whether it can be the coordinator.
    tools: &'static str,
    attach: &'static str,
    /// Whether `run.agent_trailers` can remove its trailers.
    trailers: &'static str,
    /// Variables that it gets from its own env file only.
    withheld: &'static [&'static str],
    exceptions: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct RuntimeJson {
    program: &'static str,
    at_least: &'static str,
    /// Its version, if it was looked up.
    found: Option<String>,
    problem: Option<String>,
}
