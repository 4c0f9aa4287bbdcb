//! Adoption: worktrees made of clones that kugetsu did not make.

pub(crate) mod adoption;
pub(crate) mod bootstrap;
pub(crate) mod external_clone;

pub use adoption::{AdoptError, AdoptSpec, Adopted};
pub use external_clone::ExternalClone;
