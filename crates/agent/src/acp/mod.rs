//! The client of the Agent Client Protocol: connections, sessions and turns.

mod connection;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod inbox;
mod policy;
mod session;
mod state;
mod updates;

pub use connection::{AgentInfo, Connection, EventStream, McpServer, SessionOptions};
pub use session::Session;
