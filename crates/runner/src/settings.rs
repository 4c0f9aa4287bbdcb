//! The settings that a run obeys.

use std::ffi::OsString;

use kugetsu_agent::environment::Variable;
use kugetsu_agent::{CustomProfile, Policy};
use kugetsu_forge::servers::Servers;
use secrecy::{ExposeSecret, SecretString};

/// The settings of one run, as they are when it begins.
#[derive(Clone, Debug)]
pub struct RunSettings {
    /// `agent.permissions`: what a permission question is answered.
    pub permissions: Policy,
    /// `pm.cage`: whether the coordinator needs a cage.
    pub needs_cage: bool,
    /// `agents.<name>`: agents besides those that are built in.
    pub agents: Vec<CustomProfile>,
    /// The git servers.
    pub servers: Servers,
    /// The variables of the env files: they reach the agent, and git for the servers' tokens.
    pub variables: Vec<Variable>,
}

impl RunSettings {
    /// The value of a variable of the env files; of two the later one counts.
    pub(crate) fn variable(&self, name: &str) -> Option<&SecretString> {
        self.variables.iter().rev().find(|variable| variable.name == name).map(|variable| &variable.value)
    }

    /// The `PATH` that the agent gets: the env files', or this process's.
    pub(crate) fn search_path(&self) -> OsString {
        let own = self.variable("PATH");
        own.map(|value| value.expose_secret().into()).or_else(|| std::env::var_os("PATH")).unwrap_or_default()
    }
}
