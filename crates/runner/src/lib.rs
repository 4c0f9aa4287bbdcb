//! One run, from start to end, in a process of its own that outlives the daemon: it prepares the files, starts the agent,
//! drives its session, keeps the limits, ends the whole process tree, inspects the worktree itself, rescues or pushes the
//! work, and reports. Everything that it reports is in the run's records first.
//!
//! It decides about one run only. Whether a task is tried again, and when, is the daemon's decision.

mod control;
mod coordination;
mod coordinator;
mod exit_status;
mod input;
mod issue;
mod network;
mod prompt;
mod records;
mod resources;
mod run;
mod run_context;
mod sandbox;
mod tools;
mod turn;
mod verdict;

pub use coordinator::skill::SKILL;
pub use input::{InputError, RunInput};
pub use prompt::issue::{BASE_CONTEXT, task_part};
pub use run::{RunnerError, run_runner};
pub use tools::tools_address;
