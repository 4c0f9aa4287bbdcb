//! The git command runner. Every git process that kugetsu starts is built and started here.

pub(crate) mod answer;
pub(crate) mod environment;
pub(crate) mod failure;
pub(crate) mod login;
pub(crate) mod progress;
pub(crate) mod runner;
pub(crate) mod stale_locks;

pub use failure::{Cause, StderrTail};
pub use progress::{Progress, ProgressSink};
pub use runner::{Git, GitError, MIN_VERSION, Version};
