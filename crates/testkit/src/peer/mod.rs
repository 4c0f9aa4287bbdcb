//! Programs that other people wrote and that tests talk to: emulators of forges, and clients of forges.

pub mod client;
pub mod front;
mod http;
pub mod program;
