//! `kugetsu version` (C13).

use clap::Args;
use serde::Serialize;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::ui;

/// Show the version.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu version
  kugetsu version --json")]
pub(crate) struct Version {
    /// Show an object for programs.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Shown {
    version: &'static str,
}

/// Shows.
pub(crate) fn run(arguments: &Version) -> Result<Exit, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    if arguments.json {
        ui::json(&Shown { version })?;
    } else {
        ui::line(format!("kugetsu {version}"));
    }
    Ok(Exit::Done)
}
