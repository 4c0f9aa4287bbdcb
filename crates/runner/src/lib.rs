//! One run, from start to end, in a process of its own that outlives the daemon: it makes the files ready, starts the
//! agent, drives the session, keeps both clocks, ends the whole process tree, looks for itself what was done, saves or
//! pushes it, and reports. Everything it says is in the run's records before anybody is told.
//!
//! It judges one run only: whether a task is tried again, and when, is the daemon's.

mod agent_home;
mod asked;
mod at_hand;
mod clocks;
mod coalesce;
mod context;
mod coordinate;
mod credentials;
mod desk;
mod ending;
mod files;
mod finish;
mod kept;
mod listen;
mod masked;
mod prompt;
mod record;
mod reporter;
mod run;
mod settings;
mod skill;
mod spool;
mod talk;
mod tools;
mod verdict;
mod watch;

pub use context::{BASE_CONTEXT, asked};
pub use run::{read_order, run_runner};
pub use settings::RunSettings;
pub use skill::SKILL;
pub use tools::tools_address;
