//! Parses the command line and turns the result of a command into an exit code.

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::commands::Cli;
use crate::commands::help::TOPICS;
use crate::{completions, ui};

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    match completions::complete(Cli::command, &TOPICS) {
        Ok(true) => return ExitCode::SUCCESS,
        Ok(false) => {}
        Err(error) => error.exit(),
    }
    match Cli::parse().run() {
        Ok(exit) => exit.into(),
        Err(failure) => {
            ui::failure(&failure);
            failure.exit.into()
        }
    }
}
