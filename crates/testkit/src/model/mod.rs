//! A scripted model server with OpenAI-compatible chat completions.
//!
//! It stores no conversation: the next step follows from the conversation in the request, so that any number of sessions
//! can use one server at the same time.

pub mod conversation;
mod handler;
mod next_step;
pub mod reply;
pub mod request;
pub mod script;
pub mod server;
