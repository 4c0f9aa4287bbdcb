//! Git over HTTP: `git http-backend` behind a server that checks a token, records requests and injects faults.
//!
//! It serves repositories only. [`forge_server`](crate::forge_server) has the APIs of forges and can pass the requests of
//! git clients to this server.

mod backend;
mod credentials;
pub(crate) mod handler;
pub mod request;
pub mod server;
