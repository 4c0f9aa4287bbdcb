//! The API of a forge over HTTP.
//!
//! Three levels: `forge.rs` is the trait, `github.rs`, `gitea.rs` and `gitlab.rs` implement it over `http/`, and `open.rs`
//! picks one. `detect.rs` finds out what serves an address, before there is a kind or a token.

pub mod detect;
pub mod error;
pub mod forge;
mod gitea;
mod github;
mod github_like;
mod gitlab;
pub mod http;
pub mod issue;
pub mod open;
pub mod pull_request;
mod wire;
