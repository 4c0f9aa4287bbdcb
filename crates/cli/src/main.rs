//! kugetsu turns issues into finished, pushed changes by running coding agents side by side, each in its own git
//! worktree. This is its one binary: the commands, the daemon behind them, and the runner of a run.

mod arguments;
mod assignments;
mod atomic;
mod commands;
mod config;
mod connect;
mod daemon;
mod dispatch;
mod env_files;
mod exit;
mod failure;
mod follow;
mod import;
mod place;
mod setup;
mod show;
mod transcript;
mod ui;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match dispatch::run(arguments::Arguments::parse().verb) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            ui::failure(&failure);
            failure.exit.into()
        }
    }
}
