//! The limits of a run's use of the machine, for its agent and for its checks.

pub(crate) mod exceeded;
mod growth;
pub(crate) mod resource_watch;
