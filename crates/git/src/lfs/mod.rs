//! Git LFS.

pub(crate) mod objects;
pub(crate) mod setup;
