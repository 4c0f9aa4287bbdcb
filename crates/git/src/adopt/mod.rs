//! Turning clones that kugetsu did not make into worktrees.

pub(crate) mod adoption;
pub(crate) mod bootstrap;
pub(crate) mod external_clone;

pub use adoption::{AdoptError, AdoptSpec, Adopted};
pub use external_clone::ExternalClone;
