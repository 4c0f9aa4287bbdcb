//! One run, from start to end, in a process of its own that outlives the daemon: it makes the files ready, starts the
//! agent, drives the session, keeps both clocks, ends the whole process tree, looks for itself what was done, saves or
//! pushes it, and reports. Everything it says is in the run's records before anybody is told.
//!
//! It judges one run only: whether a task is tried again, and when, is the daemon's.

mod agent_home;
mod clocks;
mod coalesce;
mod context;
mod coordinate;
mod desk;
mod ending;
mod files;
mod finish;
mod input;
mod listen;
mod prompt;
mod prompt_source;
mod record;
mod redacting_writer;
mod reporter;
mod run;
mod run_context;
mod sanitize_record;
mod skill;
mod spool;
mod talk;
mod tools;
mod verdict;
mod watch;

pub use context::{BASE_CONTEXT, asked};
pub use input::{InputError, RunInput};
pub use run::run_runner;
pub use skill::SKILL;
pub use tools::tools_address;
