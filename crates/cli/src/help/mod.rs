//! Help that belongs to no single command.

pub(crate) mod topics;
