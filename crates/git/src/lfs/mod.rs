//! Git LFS: large files that git stores as small pointers.

pub(crate) mod content;
pub(crate) mod objects;
pub(crate) mod setup;
