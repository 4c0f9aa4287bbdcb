//! The coordinator's hands: kugetsu's own operations as tools of the Model Context Protocol.
//!
//! They are served by the runner, outside of the cage. The agent starts `kugetsu tools`, a program that only carries bytes
//! between its own pipes and the runner, so nothing inside decides what may be done.

mod arguments;
mod bounds;
mod calls;
pub(crate) mod listener;
mod server;

pub use listener::tools_address;
