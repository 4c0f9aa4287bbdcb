//! Facts that last: issues, tasks, runs and the log of events.
//!
//! The daemon is the only writer. Writes that come in while one is being committed are committed together (group
//! commit), so many callers cost little more than one. A state changes only through `domain::flow::step`, inside the
//! transaction that stores the new state together with its event.

pub mod error;
pub mod open;
mod sqlite;
pub mod store;
pub mod view;
