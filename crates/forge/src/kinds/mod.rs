//! One folder per kind of forge, with everything that distinguishes it: addresses, headers, variables and JSON.
//!
//! To add a kind, add its variant to `ForgeKind`, write its folder here, and list it in `table.rs`; the compiler names the
//! latter two.

pub mod detect;
pub(crate) mod dialect;
mod gitea;
mod github;
mod gitlab;
mod probe;
mod repo_requests;
mod rights;
pub mod table;
mod wire;
