//! `kugetsu runner`: carries out one run. Only the daemon starts it.

use std::os::fd::RawFd;
use std::path::PathBuf;

use clap::Args;
use kugetsu_api::home::Home;
use kugetsu_runner::RunInput;

use crate::daemon::log;
use crate::exit::Exit;
use crate::failure::Failure;

/// Carry out one run.
#[derive(Debug, Args)]
pub(crate) struct Runner {
    /// The directory of the run.
    directory: PathBuf,
    /// The inherited file descriptor of the run's lock.
    #[arg(long, value_name = "DESCRIPTOR")]
    lock: RawFd,
}

pub(crate) async fn run(home: Home, arguments: Runner) -> Result<Exit, Failure> {
    let masks = log::init(None)?;
    let input =
        RunInput::receive(&arguments.directory, arguments.lock).map_err(|error| Failure::new(error.to_string()))?;
    masks.set(&[input.variables.as_slice(), &input.agent_variables].concat());
    kugetsu_runner::run_runner(home, arguments.directory, input)
        .await
        .map(|()| Exit::Done)
        .map_err(|error| Failure::new(error.to_string()))
}
