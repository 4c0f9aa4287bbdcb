//! Repositories that an agent could write.
//!
//! They are read as plain files ([`reader`], [`nested_repos`]), and git processes them only in a directory of the host's
//! own ([`quarantine`]). No hook, filter or setting of theirs takes effect.

pub(crate) mod changes;
pub(crate) mod copy;
pub(crate) mod nested_repos;
pub(crate) mod operation;
pub(crate) mod quarantine;
pub(crate) mod reader;
mod reftable;
pub(crate) mod state_files;
pub(crate) mod unmodified;
