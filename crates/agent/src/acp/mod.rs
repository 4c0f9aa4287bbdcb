//! The client of the Agent Client Protocol: connections, sessions and turns.

mod connection;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod inbox;
mod policy;
mod reported_usage;
mod session;
mod state;
mod updates;

pub use connection::{AgentInfo, Connection, EventStream, McpServer, SessionOptions};
pub use session::Session;
