//! Rescues: nothing that an agent did is lost when its worktree goes.
//!
//! A rescue is a commit that holds everything a worktree would lose. It is in the mirror, as
//! `refs/kugetsu/rescue/<issue>/<time>`, so it outlives the worktree, and plain git can read it.

mod commits;
mod error;
mod large;
mod lfs;
mod linked;
mod list;
mod nested;
mod note;
mod remove;
mod restore;
mod risk;
mod save;
mod state;
mod temporary;
mod tree;

pub use error::RescueError;
pub use list::{Rescue, Shown, list, show};
pub use remove::remove;
pub use restore::{Restored, restore};
pub use risk::{AtRisk, work_at_risk};
pub use save::{SaveSpec, Saved, save, save_or_find, save_temporary, save_with_temporary};
pub use temporary::holds_repositories;
