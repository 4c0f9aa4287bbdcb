//! Durable facts: issues, tasks, runs, effects and the log of events.
//!
//! The daemon is the only writer. Writes that arrive during a commit are committed together (group commit), so many
//! callers cost little more than one. State changes only through `domain::flow::step`, in the transaction that stores
//! the new state together with its event and its effects.

mod driver;
pub mod effect;
pub mod error;
#[cfg(feature = "testing")]
pub mod fuse;
pub mod open;
pub mod query;
mod sqlite;
pub mod store;
mod transaction;
pub mod view;
pub mod write;
