//! A scripted model server. It speaks chat completions and Responses of OpenAI, Messages of Anthropic, and Gemini.
//!
//! It stores no conversation: the next step follows from the conversation in the request, so that any number of sessions
//! can use one server at the same time.

pub mod conversation;
mod dialect;
mod dialects;
mod frames;
mod handler;
mod next_step;
mod offered_tools;
pub mod reply;
pub mod request;
mod schema;
pub mod script;
pub mod server;
mod side_request;
