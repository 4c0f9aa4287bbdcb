//! Resolves references. Users write URLs, short forms, paths and session ids; the rest of the engine knows repositories
//! and issues only.

mod address;
mod directory;
mod issue;
mod repo;
mod target;

pub(crate) use address::{context, only_named, stored_servers};
pub(crate) use directory::{expand, locate, look, main_directory};
pub(crate) use issue::{issue, issue_on_server, live_issue, unambiguous_issue};
pub(crate) use repo::{local_repo, repo_at, repo_on_server};
pub(crate) use target::{TaskTarget, target};
