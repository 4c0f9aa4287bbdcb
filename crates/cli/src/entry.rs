//! Parses the command line and turns the result of a command into an exit code.

use std::env;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use crate::command_line::{unknown_command, with_groups};
use crate::commands::Cli;
use crate::commands::help::TOPICS;
use crate::wrong_arguments::rejected;
use crate::{completions, ui};

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    match completions::complete(Cli::command, &TOPICS) {
        Ok(true) => return ExitCode::SUCCESS,
        Ok(false) => {}
        Err(error) => error.exit(),
    }
    let parsed = with_groups(Cli::command()).try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    let result = match parsed {
        Ok(cli) => cli.run(),
        Err(error) => {
            let (command, typed) = (Cli::command(), env::args_os().skip(1).collect::<Vec<_>>());
            let failure = unknown_command(error, &command).or_else(|error| rejected(error, &command, &typed));
            Err(failure.unwrap_or_else(|error| error.exit()))
        }
    };
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => {
            ui::failure(&failure);
            failure.exit.into()
        }
    }
}
