//! A scripted model server: OpenAI-compatible chat completions that say and call what a test has written down.
//!
//! It holds no conversation of its own: which step is due follows from the conversation a request carries, so that any
//! number of sessions can use one server at the same time.

pub mod conversation;
mod due;
mod handler;
pub mod record;
pub mod reply;
pub mod script;
pub mod server;
