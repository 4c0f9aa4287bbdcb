//! kugetsu runs coding agents on issues, many at once, each in a git worktree of its own. This is its only program: the
//! commands, the daemon that does their work, and the runner of a single run.

mod agents;
mod assignments;
mod atomic;
mod command_line;
mod commands;
mod completions;
mod config;
mod connect;
mod daemon;
mod db_file;
mod doctor;
mod editor;
mod entry;
mod env_files;
mod exit;
mod failure;
mod format;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod message;
mod names;
mod paths;
mod queued_task;
mod read_only_db;
mod read_only_engine;
mod servers;
mod setup;
mod table;
mod transcript;
mod ui;
mod wait;
mod wrong_arguments;

pub use entry::run;
