//! The agent's part of a run.

mod complaint;
mod event_recorder;
mod repetition;
pub(crate) mod run_turn;
mod session_record;
