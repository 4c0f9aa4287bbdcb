//! The engine's settings. The cli reads them from files and environment.

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
    /// `agents.max`: number of slots.
    pub agents_max: usize,
    /// `agent.default`
    pub agent_default: String,
    /// `agent.permissions`: the answer to permission requests.
    pub permissions: Policy,
    /// `run.timeout`: maximum duration of a run.
    pub run_timeout: Duration,
    /// `run.silence`: maximum time without output from the agent.
    pub run_silence: Duration,
    /// `run.temp_dir`: parent of the runs' temporary directories; `None` is the run's own directory.
    pub temp_dir: Option<PathBuf>,
    /// `queue.keep`: time after which ended tasks are removed.
    pub queue_keep: Duration,
    /// `destroy.check_pr`: whether an open pull request keeps its worktree.
    pub check_pr: bool,
    /// `pm.agent`: the coordinator's agent; `None` is the default agent.
    pub pm_agent: Option<String>,
    /// `pm.model`: the coordinator's model; `None` leaves the choice to the agent.
    pub pm_model: Option<String>,
    /// `pm.cage`: whether the coordinator needs a sandbox.
    pub pm_cage: bool,
    /// `agents.<name>`: agents besides the built-in ones.
    pub agents: Vec<CustomProfile>,
    pub servers: Servers,
    /// `repos.json`: clone locations of single repositories.
    pub repositories: Repositories,
    /// The variables of the env files. Agents get them, and git gets the tokens of servers.
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
    /// Returns the value of a variable of the env files; the last definition wins.
    pub fn variable(&self, name: &str) -> Option<&SecretString> {
        self.variables.iter().rev().find(|variable| variable.name == name).map(|variable| &variable.value)
    }

    /// Returns the `PATH` of agents: that of the env files, or this process's.
    pub fn search_path(&self) -> OsString {
        let own = self.variable("PATH");
        own.map(|value| value.expose_secret().into()).or_else(|| std::env::var_os("PATH")).unwrap_or_default()
    }
}
