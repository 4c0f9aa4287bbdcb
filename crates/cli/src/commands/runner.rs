//! `kugetsu runner`: drives one run. Started by the daemon only.

use std::fs;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

use clap::Args;
use kugetsu_api::order::RunOrder;
use kugetsu_engine::Home;

use crate::config::load::{for_run, own_environment};
use crate::daemon::log;
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
    let agent = agent(&arguments.directory)?;
    let loaded = for_run(&home, &own_environment, &agent)?;
    masks.set(&loaded.settings.variables);
    for fault in loaded.faults {
        tracing::warn!("{fault}");
    }
    kugetsu_engine::run_runner(home, arguments.directory, arguments.lock, loaded.settings)
        .await
        .map(|()| Exit::Done)
        .map_err(Failure::new)
}

/// Whose variables are needed.
fn agent(directory: &Path) -> Result<String, Failure> {
    let path = directory.join("order.json");
    let text = fs::read(&path).map_err(|error| Failure::new(format!("{} cannot be read: {error}", path.display())))?;
    let order: RunOrder = serde_json::from_slice(&text)
        .map_err(|error| Failure::new(format!("{} is not a run's order: {error}", path.display())))?;
    Ok(order.agent)
}
