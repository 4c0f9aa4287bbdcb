//! Rescue: nothing that an agent did is lost when its worktree goes.
//!
//! A rescue is one commit under `refs/kugetsu/rescue/<issue>/<time>` in the mirror, so it outlives the worktree, and any
//! git can read it.

mod error;
mod list;
mod nested;
mod note;
mod restore;
mod risk;
mod save;
mod tree;

pub use error::RescueError;
pub use list::{Rescue, Shown, list, show};
pub use restore::{Restored, restore};
pub use risk::{AtRisk, work_at_risk};
pub use save::{SaveSpec, Saved, save};
