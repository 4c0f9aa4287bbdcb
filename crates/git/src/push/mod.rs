//! Pushing an issue's branch to the server, or into the local source repository.

pub(crate) mod branch;
pub(crate) mod lfs;
pub(crate) mod outgoing;
pub(crate) mod secrets;

pub use branch::{Lease, PushError, Pushed};
pub use secrets::FoundSecret;
