//! What the parts of a run have at hand.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use kugetsu_agent::{Launch, McpServer, Profile};
use kugetsu_api::home::{Home, RunHome};
use kugetsu_api::order::RunOrder;
use kugetsu_process::sandbox::Sandbox;
use kugetsu_process::{Marker, Tracking, TreeSpec};

use super::masked::masked;
use super::spool::Spool;
use crate::settings::RunSettings;
use kugetsu_agent::environment::environment;

/// What a run has at hand.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) order: RunOrder,
    pub(crate) home: Home,
    pub(crate) place: RunHome,
    pub(crate) settings: RunSettings,
    pub(crate) spool: Spool,
}

/// The agent and where its program is.
pub(crate) struct Agent {
    pub(crate) profile: Profile,
    pub(crate) program: PathBuf,
}

impl Agent {
    /// The agent that the run is for.
    ///
    /// # Errors
    /// In words: there is no such agent, or its program is not installed.
    pub(crate) fn of(run: &Run) -> Result<Self, String> {
        let profile =
            kugetsu_agent::profile(&run.order.agent, &run.settings.agents).map_err(|error| error.to_string())?;
        let program =
            kugetsu_agent::find_program(&profile, &run.settings.search_path()).map_err(|error| error.to_string())?;
        Ok(Self { profile, program })
    }
}

/// Where the agent's program runs, and with what besides.
#[derive(Debug)]
pub(crate) struct Stage {
    /// Its directory, which its session belongs to.
    pub(crate) directory: PathBuf,
    /// Variables that win over those that every agent gets.
    pub(crate) env: Vec<(OsString, OsString)>,
    /// What keeps it, and all it starts, from writing elsewhere.
    pub(crate) sandbox: Option<Sandbox>,
    /// Notes about the agent's own home.
    pub(crate) notes: PathBuf,
    /// Tools that its session gets.
    pub(crate) tools: Vec<McpServer>,
}

/// How the agent's program is started for this run, whatever it is to do: on its stage, with the run's own environment
/// and mark. At most `stderr_max` bytes of what it complains are kept in `stderr`.
pub(crate) fn spec(
    run: &Run,
    stage: &Stage,
    agent: &Agent,
    launch: Launch,
    stderr: File,
    stderr_max: usize,
) -> Result<TreeSpec, String> {
    let mut env = environment(std::env::vars_os(), &run.settings.variables, &run.place.temporary());
    for (name, value) in &stage.env {
        env.retain(|(known, _)| known != name);
        env.push((name.clone(), value.clone()));
    }
    launch.extend_env(&mut env).map_err(|error| error.to_string())?;
    Ok(TreeSpec {
        program: agent.program.clone().into(),
        args: launch.args,
        cwd: stage.directory.clone(),
        env,
        marker: Marker::new(run.order.run.clone()).map_err(|error| error.to_string())?,
        stderr,
        stderr_max,
        stderr_filter: Some(masked(run.spool.clone())),
        tracking: Tracking::CgroupV2,
        sandbox: stage.sandbox.clone(),
    })
}

/// Where the agent's complaints go.
pub(crate) fn complaints(run: &Run) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(run.place.agent_errors())
}
