//! The settings: where they are read from, which one wins, and how a person changes them.

pub(crate) mod duration;
pub(crate) mod edit;
pub(crate) mod error;
pub(crate) mod file;
pub(crate) mod key;
pub(crate) mod layer;
pub(crate) mod load;
pub(crate) mod old_file;
pub(crate) mod source;
pub(crate) mod template;
pub(crate) mod write;
