//! The worktrees of issues, and their relay repositories.

pub(crate) mod checkout;
pub(crate) mod commit_rest;
pub(crate) mod damage;
pub(crate) mod heads;
pub(crate) mod identity;
pub(crate) mod left_behind;
pub(crate) mod lifecycle;
pub mod lock;
pub(crate) mod ownership;
pub(crate) mod planted;
pub(crate) mod relay;
pub(crate) mod relocation;
pub(crate) mod status;
pub(crate) mod submodules;
pub(crate) mod template_hooks;

pub use commit_rest::CommitError;
pub use damage::Damage;
pub use left_behind::{LeftBehind, Location};
pub use lifecycle::{Created, Worktree, WorktreeError, WorktreeSpec};
pub use status::WorktreeStatus;

pub use crate::untrusted::changes::StatusError;
pub use crate::untrusted::operation::Operation;
