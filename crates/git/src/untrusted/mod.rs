//! Repositories that an agent could write: read as plain files, and processed by git only in quarantine.

pub(crate) mod quarantine;
