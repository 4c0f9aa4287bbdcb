//! File operations that withstand an agent's tampering, locks, and directories that appear and vanish as a whole.

pub(crate) mod access;
pub(crate) mod atomic_swap;
pub(crate) mod copying;
pub(crate) mod index;
pub(crate) mod lock;
pub(crate) mod removal;
pub(crate) mod special;

pub use access::FileError;
