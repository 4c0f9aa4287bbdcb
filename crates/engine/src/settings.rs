//! What people can set about the engine. Whoever reads files and environment makes one of these; the engine obeys it.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kugetsu_agent::environment::Variable;
use kugetsu_agent::{CustomProfile, Policy};
use kugetsu_forge::repositories::Repositories;
use kugetsu_forge::servers::Servers;
use secrecy::{ExposeSecret, SecretString};

/// The settings in force.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `agents.max`: how many runs of `start` go on at once.
    pub agents_max: usize,
    /// `agent.default`: which agent works where none is named.
    pub agent_default: String,
    /// `agent.permissions`: what a permission question is answered.
    pub permissions: Policy,
    /// `run.timeout`: wall clock of one run.
    pub run_timeout: Duration,
    /// `run.silence`: longest time without a sign of life from the agent.
    pub run_silence: Duration,
    /// `run.temp_dir`: where runs have their temporary directories, if not in the home.
    pub temp_dir: Option<PathBuf>,
    /// `queue.keep`: how long ended tasks stay in the history.
    pub queue_keep: Duration,
    /// `destroy.check_pr`: whether the state of a pull request counts before a worktree is removed.
    pub check_pr: bool,
    /// `pm.agent`: which agent coordinates; the default one otherwise.
    pub pm_agent: Option<String>,
    /// `pm.model`: the coordinator's model; the agent's own choice otherwise.
    pub pm_model: Option<String>,
    /// `pm.cage`: whether the coordinator needs a cage.
    pub pm_cage: bool,
    /// `agents.<name>`: agents besides those that are built in.
    pub agents: Vec<CustomProfile>,
    /// The git servers.
    pub servers: Servers,
    /// `repos.json`: where single repositories are cloned from.
    pub repositories: Repositories,
    /// The variables of the env files: they reach the agent, and git for the servers' tokens.
    pub variables: Vec<Variable>,
}

/// Reads the env files of an agent. The engine itself reads no files of the user's.
#[derive(Clone)]
pub struct EnvFiles(Arc<ReadEnvFiles>);

type ReadEnvFiles = dyn Fn(&str, bool) -> Result<Vec<Variable>, String> + Send + Sync;

impl EnvFiles {
    /// `read` gets the agent's name and whether it coordinates.
    pub fn new(read: impl Fn(&str, bool) -> Result<Vec<Variable>, String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// The variables that reach an agent, as they are now.
    ///
    /// # Errors
    /// The file that cannot be read, and why.
    pub(crate) fn variables(&self, agent: &str, is_coordinator: bool) -> Result<Vec<Variable>, String> {
        (self.0)(agent, is_coordinator)
    }
}

impl fmt::Debug for EnvFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EnvFiles")
    }
}

impl Settings {
    /// The value of a variable of the env files; of two the later one counts.
    pub fn variable(&self, name: &str) -> Option<&SecretString> {
        self.variables.iter().rev().find(|variable| variable.name == name).map(|variable| &variable.value)
    }

    /// The `PATH` that agents get: the env files', or this process's.
    pub fn search_path(&self) -> OsString {
        let own = self.variable("PATH");
        own.map(|value| value.expose_secret().into()).or_else(|| std::env::var_os("PATH")).unwrap_or_default()
    }
}
