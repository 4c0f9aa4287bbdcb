//! Files and directories that an agent may have tampered with: nothing is followed, nothing blocks.

pub(crate) mod access;
pub(crate) mod atomic_swap;
pub(crate) mod lock;
pub(crate) mod removal;

pub use access::FileError;
