//! The agent's part of a run.

mod event_recorder;
pub(crate) mod run_turn;
mod session_export;
