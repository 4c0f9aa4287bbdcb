//! Parses the command line and turns the result of a command into an exit code.

use std::env;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use kugetsu_process::sandbox::{Helper, enter};

use crate::command_line::{unknown_command, with_groups};
use crate::commands::Cli;
use crate::commands::help::TOPICS;
use crate::wrong_arguments::rejected;
use crate::{completions, ui};

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    become_helper();
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

/// Does not return in a process that builds a sandbox. It comes before everything else, because it must have one thread.
fn become_helper() {
    let mut args = env::args_os().skip(1);
    if args.next().is_some_and(|command| command == Helper::COMMAND) {
        let mut numbers = args.filter_map(|number| number.to_str()?.parse().ok());
        if let (Some(plan), Some(channel)) = (numbers.next(), numbers.next()) {
            enter(plan, channel);
        }
    }
}
