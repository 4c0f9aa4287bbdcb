//! The daemon's HTTP face: what commands and runners ask over the unix socket. It decides nothing: it turns requests
//! into calls of the engine, and facts and errors into what travels.

mod adopt;
mod control;
mod convert;
mod daemon;
mod delegate;
mod fault;
mod issues;
mod lines;
mod rescues;
mod router;
mod runs;
mod serve;
mod shared;
mod tasks;
mod whole;

pub use control::{Control, Faults, Stale};
pub use serve::serve;
