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
mod coordinate;
pub(crate) mod desk;
mod ending;
pub(crate) mod environment;
mod files;
mod finish;
mod kept;
mod listen;
mod masked;
mod record;
mod reporter;
mod run;
mod spool;
mod talk;
mod tools;
mod verdict;
mod watch;

pub use run::{read_order, run_runner};
pub use tools::tools_address;
