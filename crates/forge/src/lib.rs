//! Forges: the servers that hold repositories and issues.
//!
//! One half needs no network: reading the many shapes of address that people type, finding out where a repository is
//! cloned from, and naming repositories that live on no server. The other half, [`api`], asks the servers.
//!
//! Nothing here reads files, settings or a terminal. Of the environment the HTTP client reads what every such client
//! does: proxies, and where the certificates are.

pub mod address;
pub mod api;
mod authority;
pub mod clone_source;
pub mod clone_url;
pub mod error;
pub mod known;
pub mod local;
pub mod mentions;
mod page_path;
pub mod parser;
mod path;
pub mod repositories;
pub mod servers;
mod ssh;
mod suffix;
