//! Mirrors, and the sources that they are made from.

pub(crate) mod base;
pub(crate) mod local_repo;
mod packs;
pub(crate) mod partial_clone;
mod partial_copy;
mod removal;
mod repair;
pub(crate) mod repo;
pub(crate) mod scratch;
pub(crate) mod source;
pub(crate) mod upstream;

pub use base::{Base, BaseError, Commit};
pub use local_repo::{LocalRepo, look_at, uncommitted_notice};
pub use removal::remove_abandoned;
pub use repair::Repaired;
pub use repo::{Mirror, MirrorError};
pub use source::{Probe, Source, SourceError};
