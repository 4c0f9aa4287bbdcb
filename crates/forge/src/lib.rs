//! Forges: the servers that host repositories, issues and pull requests.
//!
//! [`references`] reads what users type, without any network. [`forge`](mod@forge) is the interface to a server's API, and
//! [`kinds`] has one implementation per kind over [`http`].
//!
//! Nothing here reads files, settings or a terminal. The HTTP client reads the usual environment variables for proxies
//! and certificates.

pub mod ci;
pub mod clone_source;
pub mod discussion;
pub mod error;
pub mod forge;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod http;
pub mod issue;
pub mod kinds;
pub mod open;
pub mod pull_request;
pub mod references;
pub mod repositories;
pub mod servers;
pub mod user;
pub mod webhook;
