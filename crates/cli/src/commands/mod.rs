//! The commands: one file each, with its arguments.

pub(crate) mod attach;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod continue_work;
pub(crate) mod daemon;
pub(crate) mod delegate;
pub(crate) mod destroy;
pub(crate) mod doctor;
pub(crate) mod env;
pub(crate) mod help;
pub(crate) mod init;
pub(crate) mod list;
pub(crate) mod logs;
pub(crate) mod man;
pub(crate) mod queue;
pub(crate) mod rescue;
pub(crate) mod runner;
pub(crate) mod server;
pub(crate) mod set_pr;
pub(crate) mod start;
pub(crate) mod status;
pub(crate) mod tools;
pub(crate) mod version;
pub(crate) mod why;
