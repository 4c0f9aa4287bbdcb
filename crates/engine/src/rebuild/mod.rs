//! Rebuilds the database from what the home contains: directories of runs, worktrees with their relays, and mirrors with their
//! rescues. `kugetsu db rebuild` uses it, while no daemon runs.

mod found_runs;
mod leftovers;
pub(crate) mod mirrors;
pub mod replay;
