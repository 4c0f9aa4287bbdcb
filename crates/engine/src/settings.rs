//! The settings that the engine is given. It reads no files of the user's itself.

use std::ffi::OsString;
use std::fmt;
use std::sync::Arc;

use kugetsu_agent::environment::{Variable, search_path};
use kugetsu_agent::{AgentSettings, first_built_in};
use kugetsu_domain::reference::RepoRef;
use kugetsu_forge::repositories::Repositories;
use kugetsu_forge::servers::Servers;
use secrecy::SecretString;

use crate::budget_limits::BudgetLimits;
use crate::schema::{Agent, Agents, Config, Coordinator, Db, Destroy, Gc, Hooks, Queue, Rescue, Run};
use crate::watches::Watch;

/// The settings in effect.
#[derive(Clone, Debug)]
pub struct Settings {
    pub agent: Agent,
    /// The agent for tasks that name none: the setting `agent.default`, or one that was chosen.
    pub default_agent: String,
    pub agents: Agents,
    pub budget: BudgetLimits,
    pub db: Db,
    pub destroy: Destroy,
    pub gc: Gc,
    pub hooks: Hooks,
    pub pm: Coordinator,
    pub queue: Queue,
    pub rescue: Rescue,
    pub run: Run,
    /// The entries of `[agents]`: agents besides those that are built in.
    pub profiles: Vec<AgentSettings>,
    /// The entries of `[servers]` and the default server.
    pub servers: Servers,
    /// The entries of `[watch]`: repositories whose issues are handed over.
    pub watches: Vec<Watch>,
    /// `repos.json`: clone locations of single repositories.
    pub repositories: Repositories,
    /// The variables of `env/default.env`, which contain the tokens of the servers. An agent gets them with those of its env
    /// file ([`EnvFiles`]).
    pub variables: Vec<Variable>,
}

impl Settings {
    /// Settings with these values, and nothing else.
    pub fn new(config: Config) -> Self {
        let Config { agent, agents, budget, db, destroy, gc, hooks, pm, queue, rescue, run, server: _ } = config;
        let (profiles, variables) = (Vec::new(), Vec::new());
        let default_agent = agent.default.clone().unwrap_or_else(|| first_built_in().to_owned());
        let (servers, watches, repositories) = (Servers::default(), Vec::new(), Repositories::default());
        Self {
            agent,
            default_agent,
            agents,
            budget,
            db,
            destroy,
            gc,
            hooks,
            pm,
            queue,
            rescue,
            run,
            profiles,
            servers,
            watches,
            repositories,
            variables,
        }
    }
}

/// Reads the env files of an agent.
#[derive(Clone)]
pub struct EnvFiles(Arc<ReadEnvFiles>);

type ReadEnvFiles = dyn Fn(&str, bool) -> Result<Vec<Variable>, String> + Send + Sync;

impl EnvFiles {
    /// `read` is given the agent's name and whether it is the coordinator.
    pub fn new(read: impl Fn(&str, bool) -> Result<Vec<Variable>, String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// Reads the variables of an agent now. The error is a message that names the file.
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
    /// The watch with this name.
    pub fn watch(&self, name: &str) -> Option<&Watch> {
        self.watches.iter().find(|watch| watch.name == name)
    }

    /// The watch of this repository, of which there is one at most.
    pub fn watch_of(&self, repo: &RepoRef) -> Option<&Watch> {
        self.watches.iter().find(|watch| watch.repo == *repo)
    }

    /// The value of a variable of the env files. The last one wins.
    pub fn variable(&self, name: &str) -> Option<&SecretString> {
        self.variables.iter().rev().find(|variable| variable.name == name).map(|variable| &variable.value)
    }

    /// The `PATH` of [`variables`](Self::variables), or else this process's own. An agent whose env file sets another one has
    /// that.
    pub fn search_path(&self) -> OsString {
        search_path(&self.variables)
    }
}
