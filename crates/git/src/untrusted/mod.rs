//! Repositories that an agent could write: read as plain files, and processed by git only in quarantine.

pub(crate) mod changes;
pub(crate) mod copy;
pub(crate) mod nested_repos;
pub(crate) mod quarantine;
pub(crate) mod reader;
