//! `cargo xtask demo`: kugetsu end to end in a throwaway home.
//!
//! The agent is the opencode on `PATH`, or the pinned version, installed below `target`. Its model is scripted, so no
//! account is needed. If opencode is not available, the scripted agent of the tests replaces it.

pub(crate) mod local_task;
mod stage;
pub(crate) mod watched_issue;
