//! What the parts of a run share: its specification, its directories, its records, and how its agent is started.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use kugetsu_agent::environment::{Variable, environment};
use kugetsu_agent::{CustomProfile, Launch, McpServer, Policy, Profile};
use kugetsu_api::home::{Home, RunHome};
use kugetsu_api::run_spec::{Permissions, RunSpec};
use kugetsu_domain::text::with_hint;
use kugetsu_process::sandbox::Sandbox;
use kugetsu_process::{Marker, Tracking, TreeSpec};
use secrecy::{ExposeSecret, SecretString};

use crate::redacting_writer::redacting_filter;
use crate::spool::Spool;

#[derive(Debug)]
pub(crate) struct RunContext {
    pub(crate) spec: RunSpec,
    pub(crate) variables: Vec<Variable>,
    pub(crate) agent_variables: Vec<Variable>,
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

    /// The value of a variable of the env files; of two the later one counts.
    pub(crate) fn variable(&self, name: &str) -> Option<&SecretString> {
        self.variables.iter().rev().find(|variable| variable.name == name).map(|variable| &variable.value)
    }

    /// The `PATH` that the agent gets: the env files', or this process's.
    fn search_path(&self) -> OsString {
        let own = self.variable("PATH");
        own.map(|value| value.expose_secret().into()).or_else(|| std::env::var_os("PATH")).unwrap_or_default()
    }
}

/// The agent and where its program is.
pub(crate) struct Agent {
    pub(crate) profile: Profile,
    pub(crate) program: PathBuf,
}

impl Agent {
    /// # Errors
    /// There is no such agent, or its program is not installed.
    pub(crate) fn of(run: &RunContext) -> Result<Self, String> {
        let custom = run.spec.agent.command.as_ref().map(|command| CustomProfile {
            name: run.spec.agent.name.clone(),
            program: command.program.clone(),
            args: command.args.clone(),
            env: run
                .agent_variables
                .iter()
                .map(|variable| (variable.name.clone(), variable.value.expose_secret().to_owned()))
                .collect(),
            delete: None,
            attach: None,
        });
        let profile = kugetsu_agent::profile(&run.spec.agent.name, custom.as_slice())
            .map_err(|error| with_hint(&error, error.hint()))?;
        let program = kugetsu_agent::find_program(&profile, &run.search_path())
            .map_err(|error| with_hint(&error, error.hint()))?;
        Ok(Self { profile, program })
    }
}

/// Where the agent's program runs, and what it gets besides.
#[derive(Debug)]
pub(crate) struct AgentLaunch {
    /// Its directory, which its session belongs to.
    pub(crate) directory: PathBuf,
    /// Variables that win over those that every agent gets.
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) sandbox: Option<Sandbox>,
    /// Where the notes about first starts in the agent's own home are.
    pub(crate) notes: PathBuf,
    /// The tools that its session gets.
    pub(crate) tools: Vec<McpServer>,
}

/// How to start the agent's program with `command`, in the run's environment and with its marker. At most `stderr_max`
/// bytes of its standard error are kept in `stderr`.
///
/// # Errors
/// The agent's permission rules, which the user set, cannot be read.
pub(crate) fn tree_spec(
    run: &RunContext,
    launch: &AgentLaunch,
    agent: &Agent,
    command: Launch,
    stderr: File,
    stderr_max: usize,
) -> Result<TreeSpec, String> {
    let mut env = environment(std::env::vars_os(), &run.variables, &run.directory.temporary());
    for (name, value) in &launch.env {
        env.retain(|(known, _)| known != name);
        env.push((name.clone(), value.clone()));
    }
    command.extend_env(&mut env).map_err(|error| with_hint(&error, error.hint()))?;
    Ok(TreeSpec {
        program: agent.program.clone().into(),
        args: command.args,
        cwd: launch.directory.clone(),
        env,
        marker: Marker::new(run.spec.run.clone()).map_err(|error| error.to_string())?,
        stderr,
        stderr_max,
        stderr_filter: Some(redacting_filter(run.spool.clone())),
        tracking: Tracking::CgroupV2,
        sandbox: launch.sandbox.clone(),
    })
}

/// The file that keeps the agent's standard error.
pub(crate) fn agent_stderr(run: &RunContext) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(run.directory.agent_errors())
}
