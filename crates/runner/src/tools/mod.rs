//! The tools of agents, over the Model Context Protocol: the coordinator's (`coordinator_tools`), and those of the agent of an issue
//! (`issue_tools`).
//!
//! The runner serves them outside of the sandbox. The agent starts `kugetsu tools`, which only forwards bytes between its
//! pipes and the runner, so that nothing inside the sandbox decides what is allowed.

mod arguments;
mod bounds;
mod calls;
pub(crate) mod coordinator_tools;
mod daemon;
pub(crate) mod issue_tools;
pub(crate) mod listener;
mod server;

pub use listener::tools_address;
