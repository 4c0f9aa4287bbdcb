//! The worktrees of issues, and their relay repositories.

pub(crate) mod checkout;
pub(crate) mod identity;
pub(crate) mod lifecycle;
pub mod lock;
pub(crate) mod ownership;
pub(crate) mod relay;
pub(crate) mod status;
pub(crate) mod submodules;
pub(crate) mod template_hooks;

pub use lifecycle::{Created, Worktree, WorktreeError, WorktreeSpec};
pub use status::WorktreeStatus;

pub use crate::untrusted::changes::StatusError;
