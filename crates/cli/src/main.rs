//! kugetsu runs coding agents on issues, many at once, each in a git worktree of its own. This is its only binary: the
//! commands, the daemon that does their work, and the runner of a single run.

mod assignments;
mod atomic;
mod commands;
mod completions;
mod config;
mod connect;
mod daemon;
mod doctor;
mod env_files;
mod exit;
mod failure;
mod format;
mod names;
mod paths;
mod queued_task;
mod read_only_db;
mod servers;
mod setup;
mod slow_notice;
mod table;
mod transcript;
mod ui;
mod wait;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::commands::Cli;
use crate::commands::help::TOPICS;

fn main() -> ExitCode {
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
