//! Everything that kugetsu does with git: mirrors, worktrees and their relay repositories, pushes, rescues.

pub mod adopt;
pub mod command;
pub mod files;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod git_dir;
mod lfs;
pub mod mirror;
pub mod names;
mod printable;
pub mod push;
pub mod rescue;
mod untrusted;
pub mod worktree;
