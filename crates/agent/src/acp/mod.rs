//! The client of the Agent Client Protocol: connections, sessions and turns.

mod connection;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod inbox;
mod session;
mod state;
mod updates;

pub use connection::{AgentInfo, Connection, EventStream, McpServer};
pub use session::Session;
