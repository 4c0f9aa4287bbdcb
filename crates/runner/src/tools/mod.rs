//! The coordinator's tools: kugetsu's own operations over the Model Context Protocol.
//!
//! The runner serves them outside of the sandbox. The agent starts `kugetsu tools`, which only forwards bytes between its
//! pipes and the runner, so that nothing inside the sandbox decides what is allowed.

mod arguments;
mod bounds;
mod calls;
pub(crate) mod listener;
mod server;

pub use listener::tools_address;
