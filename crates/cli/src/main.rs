//! kugetsu turns issues into finished, pushed changes by running coding agents side by side, each in its own git
//! worktree. This is its one binary: the commands, the daemon behind them, and the runner of a run.

mod arguments;
mod assignments;
mod atomic;
mod candidates;
mod commands;
mod config;
mod connect;
mod daemon;
mod dispatch;
mod doctor;
mod env_files;
mod exit;
mod facts;
mod failure;
mod follow;
mod import;
mod names;
mod nearest;
mod patience;
mod place;
mod servers;
mod setup;
mod show;
mod table;
mod transcript;
mod ui;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

fn main() -> ExitCode {
    match candidates::answer(arguments::Arguments::command) {
        Ok(true) => return ExitCode::SUCCESS,
        Ok(false) => {}
        Err(error) => error.exit(),
    }
    match dispatch::run(arguments::Arguments::parse().verb) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            ui::failure(&failure);
            failure.exit.into()
        }
    }
}
