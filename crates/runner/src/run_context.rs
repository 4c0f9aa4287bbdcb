//! What the parts of a run share: its specification, its directories, its records, and how its agent is started.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kugetsu_agent::environment::{Variable, environment, search_path, withhold};
use kugetsu_agent::{
    AgentSettings, InvalidPermissionRules, Launch, McpServer, NotInstalled, Policy, Profile, SessionOptions, Switch,
    Tokens, Trailers, UnknownAgent, Usage,
};
use kugetsu_api::atomic_file::write_atomic;
use kugetsu_api::home::{Home, RunHome};
use kugetsu_api::location::Location;
use kugetsu_api::regular_file;
use kugetsu_api::run::Usage as WireUsage;
use kugetsu_api::run_key::RunKey;
use kugetsu_api::run_spec::{Permissions, RunSpec, Work};
use kugetsu_domain::git_variables::ceilings;
use kugetsu_process::sandbox::Sandbox;
use kugetsu_process::{InvalidMarker, Marker, SpawnError, Tracking, TreeLimits, TreeSpec};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use thiserror::Error;

use crate::network::AgentNetwork;
use crate::records::redacting_writer::redacting_filter;
use crate::records::spool::Spool;

/// The name of a file with default settings for the agent.
const DEFAULT_SETTINGS: &str = "agent-defaults.json";

/// The agent's program could not be started.
#[derive(Debug, Error)]
pub(crate) enum LaunchError {
    #[error(transparent)]
    UnknownAgent(#[from] UnknownAgent),
    #[error(transparent)]
    NotInstalled(#[from] NotInstalled),
    /// The permission rules that the user set for the agent cannot be read.
    #[error(transparent)]
    InvalidPermissionRules(#[from] InvalidPermissionRules),
    #[error(transparent)]
    InvalidMarker(#[from] InvalidMarker),
    #[error("cannot read kugetsu's home: {0}")]
    Home(io::Error),
    #[error("cannot prepare the run's directory: {0}")]
    Directory(#[from] io::Error),
    #[error(transparent)]
    Spawn(#[from] SpawnError),
}

impl LaunchError {
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownAgent(error) => error.hint(),
            Self::NotInstalled(error) => error.hint(),
            Self::InvalidPermissionRules(error) => error.hint(),
            Self::Spawn(error) => error.hint(),
            Self::InvalidMarker(_) | Self::Home(_) | Self::Directory(_) => None,
        }
    }
}

#[derive(Debug)]
pub(crate) struct RunContext {
    pub(crate) spec: RunSpec,
    pub(crate) variables: Vec<Variable>,
    pub(crate) agent_variables: Vec<Variable>,
    /// Shows the daemon that a request is the runner's.
    pub(crate) key: RunKey,
    pub(crate) home: Home,
    pub(crate) directory: RunHome,
    pub(crate) spool: Spool,
}

impl RunContext {
    pub(crate) fn policy(&self) -> Policy {
        match self.spec.permissions {
            Permissions::Allow => Policy::Allow,
            Permissions::Ask => Policy::Ask,
            Permissions::Refuse => Policy::Refuse,
        }
    }

    /// The value of a variable of the env files. The last one counts.
    pub(crate) fn variable(&self, name: &str) -> Option<&SecretString> {
        self.variables.iter().rev().find(|variable| variable.name == name).map(|variable| &variable.value)
    }

    /// The value of a variable in the agent's environment: that of the env files, or else this process's.
    pub(crate) fn agent_variable(&self, name: &str) -> Option<OsString> {
        self.variable(name).map(|value| value.expose_secret().into()).or_else(|| std::env::var_os(name))
    }
}

pub(crate) struct Agent {
    pub(crate) profile: Profile,
    /// The path of its program.
    pub(crate) program: PathBuf,
}

impl Agent {
    /// Returns the agent of the run's specification.
    pub(crate) fn of(run: &RunContext) -> Result<Self, LaunchError> {
        let settings = run.spec.agent.settings.as_ref().map(|settings| AgentSettings {
            name: run.spec.agent.name.clone(),
            program: settings.program.clone(),
            args: settings.args.clone(),
            env: run
                .agent_variables
                .iter()
                .map(|variable| (variable.name.clone(), variable.value.expose_secret().to_owned()))
                .collect(),
            // Only the daemon deletes sessions and lists models, and only a user attaches to one.
            delete: None,
            attach: None,
            models: None,
        });
        let profile = kugetsu_agent::profile(&run.spec.agent.name, settings.as_slice())?;
        let program = kugetsu_agent::find_program(&profile, &search_path(&run.variables))?;
        Ok(Self { profile, program })
    }

    /// Says which variables of the run the agent does not get; `None` if it gets all.
    pub(crate) fn withheld(&self, run: &RunContext) -> Option<String> {
        let is_set = |name: &&str| {
            let overridden = run.agent_variables.iter().any(|variable| variable.name == *name);
            !overridden && run.agent_variable(name).is_some()
        };
        let names: Vec<&str> = self.profile.withheld(&run.variables).filter(is_set).collect();
        let first = names.first()?;
        let (names, name) = (names.join(", "), self.profile.name());
        Some(format!("{name} does not get {names}: {}", self.profile.why_withheld(first)))
    }

    /// Returns how the agent is started for the run's session. Files for it are written to the run's temporary directory.
    pub(crate) fn command(&self, run: &RunContext) -> io::Result<Launch> {
        let mut command = self.profile.launch(run.policy());
        let tools = self.profile.tools_switch().filter(|_| self.gets_tools(run));
        let trailers = match self.profile.trailers() {
            Trailers::Switch(switch) if run.spec.without_trailers => Some(switch),
            _ => None,
        };
        let mut defaults: BTreeMap<&str, Value> = BTreeMap::new();
        for switch in tools.into_iter().chain(trailers) {
            match switch {
                Switch::Variable { name, value } => command.set_default_env(name, value),
                Switch::Defaults { variable, settings } => {
                    let settings = serde_json::from_str(settings)?;
                    merge(defaults.entry(variable).or_insert(Value::Null), settings);
                }
            }
        }
        for (variable, settings) in defaults {
            let path = run.directory.temporary().join(DEFAULT_SETTINGS);
            write_atomic(&path, settings.to_string().as_bytes())?;
            command.set_default_env(variable, &path.to_string_lossy());
        }
        Ok(command)
    }

    /// Whether the sessions of the run have tools of kugetsu's.
    pub(crate) fn gets_tools(&self, run: &RunContext) -> bool {
        match &run.spec.work {
            Work::Coordination { .. } => true,
            Work::Issue(issue) => !issue.tools.is_empty() && self.profile.no_coordinator().is_none(),
            Work::Push(_) => false,
        }
    }

    /// Returns what the sessions of a run get.
    pub(crate) fn session_options(&self, run: &RunContext, launch: &AgentLaunch) -> SessionOptions {
        let is_set = |name: &str| {
            let own = run.agent_variables.iter().any(|variable| variable.name == name);
            own || run.agent_variable(name).is_some_and(|value| !value.is_empty())
        };
        SessionOptions {
            policy: run.policy(),
            without_trailers: run.spec.without_trailers,
            login_method: self.profile.login_method(is_set),
            tools: launch.tools.clone(),
            used_before: used_before(run.spec.used_before),
            session_directory: self.profile.session_directory(|name| {
                let own = run.agent_variables.iter().rev().find(|variable| variable.name == name);
                let own = own.map(|variable| OsString::from(variable.value.expose_secret()));
                let launch = || launch.env.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
                own.or_else(launch).or_else(|| run.agent_variable(name))
            }),
        }
    }
}

/// Adds the fields of an object, also of objects within, to another one.
fn merge(to: &mut Value, from: Value) {
    match (to, from) {
        (Value::Object(to), Value::Object(from)) => {
            for (name, value) in from {
                merge(to.entry(name).or_insert(Value::Null), value);
            }
        }
        (to, from) => *to = from,
    }
}

/// Cached tokens and those of reasoning are not kept apart.
fn used_before(usage: WireUsage) -> Usage {
    let tokens = usage.input_tokens.zip(usage.output_tokens);
    let tokens = tokens.map(|(input, output)| Tokens { input, output, ..Tokens::default() });
    Usage { steps: 0, tokens, cost_usd: usage.cost_usd }
}

/// How the agent's program is started.
#[derive(Clone, Debug)]
pub(crate) struct AgentLaunch {
    /// Its working directory, which its session belongs to.
    pub(crate) directory: PathBuf,
    /// Environment variables that override those that every agent gets.
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) sandbox: Option<Sandbox>,
    /// `None`: that of the machine.
    pub(crate) network: Option<Arc<AgentNetwork>>,
    /// Directories whose growth is limited, besides that of its temporary files.
    pub(crate) growing: Vec<PathBuf>,
    /// The directory of notes about the first start in the agent's home.
    pub(crate) notes: PathBuf,
    /// The tools of its session.
    pub(crate) tools: Vec<McpServer>,
}

/// Returns how to start `command` of the agent's program, in the run's environment and with its marker. At most
/// `stderr_max` bytes of its standard error are kept in `stderr`.
pub(crate) fn tree_spec(
    run: &RunContext,
    launch: &AgentLaunch,
    agent: &Agent,
    command: Launch,
    stderr: File,
    stderr_max: usize,
) -> Result<TreeSpec, LaunchError> {
    let mut env = base_environment(run);
    override_variables(&mut env, launch.env.clone());
    override_variables(&mut env, launch.network.iter().flat_map(|network| network.env().iter().cloned()));
    command.extend_env(&mut env, &run.variables)?;
    Ok(TreeSpec {
        program: agent.program.clone().into(),
        args: command.args,
        cwd: launch.directory.clone(),
        env,
        marker: marker(run)?,
        stdout: None,
        stderr,
        stderr_max,
        stderr_filter: Some(redacting_filter(run.spool.clone())),
        tracking: Tracking::CgroupV2,
        sandbox: launch.sandbox.clone(),
        limits: tree_limits(run),
    })
}

pub(crate) fn override_variables(
    env: &mut Vec<(OsString, OsString)>,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) {
    for (name, value) in variables {
        env.retain(|(known, _)| *known != name);
        env.push((name, value));
    }
}

/// The limits of each process tree of a run.
pub(crate) fn tree_limits(run: &RunContext) -> TreeLimits {
    let limits = run.spec.resources;
    TreeLimits { memory: limits.memory, tasks: limits.processes, weight: limits.weight }
}

/// The environment of the programs of a run.
pub(crate) fn base_environment(run: &RunContext) -> Vec<(OsString, OsString)> {
    let temporary = run.directory.temporary();
    // The directory of the run's temporary files may be elsewhere.
    let parents = [run.home.worktrees(), run.home.path().to_owned(), run.directory.path().to_owned()];
    let real = temporary.canonicalize().ok().and_then(|real| real.parent().map(Path::to_owned));
    let ceilings = ceilings(parents.into_iter().chain(real), std::env::var_os("HOME"));
    let mut env = environment(std::env::vars_os(), &run.variables, &temporary, &ceilings);
    withhold(&mut env, &run.spec.withheld, &run.variables);
    env
}

/// By which the processes of a run are found.
pub(crate) fn marker(run: &RunContext) -> Result<Marker, LaunchError> {
    let home = Location::of(&run.home).map_err(LaunchError::Home)?;
    Ok(Marker::new(format!("{}{}", run.spec.run, home.suffix()))?)
}

/// The file that keeps the agent's standard error.
pub(crate) fn agent_stderr(run: &RunContext) -> io::Result<File> {
    regular_file::open(OpenOptions::new().create(true).append(true).mode(0o600), &run.directory.agent_errors())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_of_several_switches_are_one_object() {
        let mut settings = Value::Null;
        merge(&mut settings, json!({"general": {"a": 1}, "tools": {"b": true}}));
        merge(&mut settings, json!({"general": {"c": 2}}));
        assert_eq!(settings, json!({"general": {"a": 1, "c": 2}, "tools": {"b": true}}));
    }
}
