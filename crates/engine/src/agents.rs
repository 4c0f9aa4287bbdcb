//! Looks up agents: their programs, and the environment of their commands.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use kugetsu_agent::environment::{Variable, environment, search_path, withhold};
use kugetsu_agent::{Launch, Profile, SandboxFiles, UnknownAgent, profile};
use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_domain::git_variables::ceilings;
use kugetsu_domain::reason::Reason;
use kugetsu_process::sandbox::{Backend, Helper, Network, Sandbox, best_backend};

use crate::credentials::withheld;
use crate::engine::Engine;
use crate::problems::problem;
use crate::schema::RunSandbox;
use crate::settings::Settings;

/// An agent that is installed.
#[derive(Clone, Debug)]
pub(crate) struct InstalledAgent {
    pub(crate) profile: Profile,
    /// The path of its program.
    pub(crate) program: PathBuf,
    /// The variables of its env files, as its runs get them.
    variables: Vec<Variable>,
}

/// Returns an agent with its env files as they are now. A run of the coordinator has other env files.
///
/// # Errors
/// There is no such agent, its program is not installed, or an env file cannot be read.
pub(crate) fn installed(engine: &Engine, name: &str, is_coordinator: bool) -> Result<InstalledAgent, Problem> {
    let settings = engine.settings();
    let profile = profile(name, &settings.profiles).map_err(|error| unknown(&settings, &error))?;
    let variables = engine.env_files().variables(name, is_coordinator);
    let variables = variables.map_err(|message| Problem::new(ProblemKind::Usage, message))?;
    let program = kugetsu_agent::find_program(&profile, &search_path(&variables))
        .map_err(|error| problem(ProblemKind::Usage, &error, error.hint()))?;
    Ok(InstalledAgent { profile, program, variables })
}

impl InstalledAgent {
    /// Returns the method that logs the agent in, as its runs use it.
    pub(crate) fn login_method(&self) -> Option<&'static str> {
        let in_file = |name: &str| self.variables.iter().any(|variable| variable.name == name);
        self.profile.login_method(|name| in_file(name) || std::env::var_os(name).is_some_and(|value| !value.is_empty()))
    }

    /// Returns the environment of a command of the agent outside of a run.
    ///
    /// # Errors
    /// The permission rules in it cannot be read.
    pub(crate) fn environment(&self, engine: &Engine, launch: &Launch) -> Result<Vec<(OsString, OsString)>, String> {
        let ceilings = ceilings(Some(engine.home().path().to_owned()), std::env::var_os("HOME"));
        let mut env = environment(std::env::vars_os(), &self.variables, &std::env::temp_dir(), &ceilings);
        withhold(&mut env, &withheld(&engine.settings()), &self.variables);
        match launch.extend_env(&mut env, &self.variables) {
            Ok(()) => Ok(env),
            Err(error) => Err(Reason::new(&error, error.hint()).in_one_line()),
        }
    }

    /// Returns the sandbox of such a command, in which it can write `directory`; `None` if runs have none either.
    ///
    /// # Errors
    /// The settings require a sandbox, and it cannot be built.
    pub(crate) async fn sandbox(
        &self,
        engine: &Engine,
        env: &[(OsString, OsString)],
        directory: &Path,
    ) -> Result<Option<Sandbox>, String> {
        let settings = engine.settings();
        let is_required = match settings.run.sandbox {
            RunSandbox::Off => return Ok(None),
            RunSandbox::Best => false,
            RunSandbox::Required => true,
        };
        let helper = Helper::of_this_program();
        let found = tokio::task::spawn_blocking(move || best_backend(&helper)).await;
        let backend = match found.map_err(|error| error.to_string())? {
            Ok(backend) => backend,
            Err(error) if is_required => return Err(Reason::new(&error, error.hint()).in_one_line()),
            Err(error) => {
                tracing::warn!(agent = self.profile.name(), %error, "a command of the agent runs without a sandbox");
                return Ok(None);
            }
        };
        let visible = SandboxFiles {
            profile: &self.profile,
            home: engine.home().path(),
            programs: [self.program.clone()].into_iter().chain(kugetsu_api::program::path().ok()).collect(),
            search_path: search_path(&self.variables),
            readable: settings.run.sandbox_readable.clone(),
            writable: settings.run.sandbox_writable.iter().cloned().chain([directory.to_owned()]).collect(),
        };
        let variable = |name: &str| env.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        let files =
            visible.access(backend, variable).map_err(|error| format!("could not prepare the sandbox: {error}"))?;
        let network = match backend {
            // They need none: sessions are files, and an agent that cannot fetch its list of models shows the one that it has.
            Backend::Namespaces | Backend::Bubblewrap => Network::Own { listeners: Vec::new() },
            Backend::Landlock => Network::Host,
        };
        Ok(Some(Sandbox { files, network, helper: Helper::of_this_program(), backend }))
    }
}

/// Names the setting if it chose the agent: the user may not have typed a name.
fn unknown(settings: &Settings, error: &UnknownAgent) -> Problem {
    let setting = match &error.name {
        name if settings.pm.agent.as_ref() == Some(name) => "pm.agent",
        name if settings.default_agent == *name => "agent.default",
        _ => return problem(ProblemKind::Usage, error, error.hint()),
    };
    let hint = format!("choose another with `kugetsu config set {setting} <name>`: {}", error.known.join(", "));
    Problem::new(ProblemKind::Usage, format!("{error}, which the setting {setting} names")).hint(hint)
}
