//! The daemon's HTTP face: what commands and runners ask over the unix socket. It decides nothing: it turns requests
//! into calls of the engine, and facts and errors into what travels.

mod convert;
mod daemon;
mod fault;
mod issues;
mod lines;
mod rescues;
mod router;
mod runs;
mod serve;
mod tasks;
mod whole;

pub use daemon::{Control, Stale};
pub use serve::serve;
