//! Temporary git repositories of every kind that a user may have, made and read with the real git.

pub mod git;
pub mod oddities;
pub mod temporary;
