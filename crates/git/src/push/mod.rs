//! Pushing an issue's branch to the server.

pub(crate) mod branch;
pub(crate) mod lfs;

pub use branch::{Lease, PushError, Pushed};
