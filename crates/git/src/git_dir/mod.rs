//! Git directories, written and filled as plain files.

pub(crate) mod layout;
pub(crate) mod objects;
