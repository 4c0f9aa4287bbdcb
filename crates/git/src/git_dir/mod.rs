//! Git directories, written as plain files: faster than a git process for each, and with exactly the content given here.

pub(crate) mod layout;
pub(crate) mod mend;
pub(crate) mod objects;
