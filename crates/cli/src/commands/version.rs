//! `kugetsu version`.

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
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct VersionObject {
    version: &'static str,
}

pub(crate) fn run(arguments: &Version) -> Result<Exit, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    if arguments.json {
        ui::json(&VersionObject { version })?;
    } else {
        ui::line(format!("kugetsu {version}"));
    }
    Ok(Exit::Done)
}
