//! What the parts of a run have at hand.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use kugetsu_agent::{Launch, Profile};
use kugetsu_api::order::RunOrder;
use kugetsu_process::{Marker, Means, Spec};

use super::environment::environment;
use super::files::Files;
use super::masked::masked;
use super::spool::Spool;
use crate::home::{Home, RunHome};
use crate::settings::Settings;

/// What a run has at hand.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) order: RunOrder,
    pub(crate) home: Home,
    pub(crate) place: RunHome,
    pub(crate) settings: Settings,
    pub(crate) spool: Spool,
}

/// The agent and where its program is.
pub(crate) struct Agent {
    pub(crate) profile: Profile,
    pub(crate) program: PathBuf,
}

/// How the agent's program is started for this run, whatever it is to do: in the worktree, with the run's own environment
/// and mark. At most `stderr_max` bytes of what it complains are kept in `stderr`.
pub(crate) fn spec(
    run: &Run,
    files: &Files,
    agent: &Agent,
    launch: Launch,
    stderr: File,
    stderr_max: usize,
) -> Result<Spec, String> {
    let mut env = environment(std::env::vars_os(), &run.settings.variables, &run.place.temporary());
    launch.add_to(&mut env).map_err(|error| error.to_string())?;
    Ok(Spec {
        program: agent.program.clone().into(),
        args: launch.args,
        cwd: files.worktree.dir().to_owned(),
        env,
        marker: Marker::new(run.order.run.clone()).map_err(|error| error.to_string())?,
        stderr,
        stderr_max,
        stderr_filter: Some(masked(run.spool.clone())),
        means: Means::CgroupV2,
        cage: None,
    })
}

/// Where the agent's complaints go.
pub(crate) fn complaints(run: &Run) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(run.place.agent_errors())
}
