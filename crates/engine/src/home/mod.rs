//! The home as a whole: whether its database fits it, and what is in it that the database does not know.

pub mod backups;
pub mod kind;
pub mod open;
pub mod quarantine;
pub(crate) mod reserve;
pub(crate) mod unknown;
pub(crate) mod used_numbers;
