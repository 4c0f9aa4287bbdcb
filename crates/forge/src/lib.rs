//! Forges: the servers that hold repositories and issues.
//!
//! So far only what needs no network: reading the many shapes of address that people type, finding out where a
//! repository is cloned from, and naming repositories that live on no server. Nothing here reads files, the
//! environment or a terminal.

pub mod address;
mod authority;
pub mod clone_url;
pub mod error;
pub mod known;
pub mod local;
mod page;
pub mod parser;
mod path;
pub mod place;
pub mod prose;
pub mod repositories;
pub mod servers;
mod ssh;
mod tail;
