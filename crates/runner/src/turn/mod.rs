//! The agent's part of a run.

mod complaint;
mod event_recorder;
pub(crate) mod exit_status;
mod repetition;
pub(crate) mod run_turn;
mod session_record;
