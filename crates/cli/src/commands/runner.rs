//! `kugetsu runner`: drives one run. Started by the daemon only.

use std::os::fd::RawFd;
use std::path::PathBuf;

use clap::Args;
use kugetsu_api::home::Home;
use kugetsu_api::order::Work;
use kugetsu_runner::RunSettings;

use crate::config::load::{for_run, own_environment};
use crate::daemon::log;
use crate::env_files::PM_AGENT;
use crate::exit::Exit;
use crate::failure::Failure;

/// Drive one run.
#[derive(Debug, Args)]
pub(crate) struct Runner {
    /// The run's directory.
    directory: PathBuf,
    /// The descriptor of the run's lock, which the daemon hands down.
    #[arg(long, value_name = "DESCRIPTOR")]
    lock: RawFd,
}

/// Drives the run to its end.
pub(crate) async fn run(home: Home, arguments: Runner) -> Result<Exit, Failure> {
    let masks = log::begin()?;
    let order = kugetsu_runner::read_order(&arguments.directory).map_err(Failure::new)?;
    let mut env_files = vec![order.agent.as_str()];
    if order.work == Work::Coordination {
        env_files.push(PM_AGENT);
    }
    let loaded = for_run(&home, &own_environment, &env_files)?;
    masks.set(&loaded.settings.variables);
    for fault in loaded.faults {
        tracing::warn!("{fault}");
    }
    let settings = RunSettings {
        permissions: loaded.settings.permissions,
        needs_cage: loaded.settings.pm_cage,
        agents: loaded.settings.agents,
        servers: loaded.settings.servers,
        variables: loaded.settings.variables,
    };
    kugetsu_runner::run_runner(home, arguments.directory, order, arguments.lock, settings)
        .await
        .map(|()| Exit::Done)
        .map_err(Failure::new)
}
