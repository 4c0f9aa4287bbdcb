//! Git over HTTP with a token: git's own `http-backend` behind a server that checks the token, keeps a log and makes
//! the faults a test asks for.
//!
//! It serves repositories only; the API of a forge is [`forge_server`](crate::forge_server), which can hand git's requests on to
//! this.

mod backend;
mod credentials;
pub(crate) mod handler;
pub mod record;
pub mod server;
