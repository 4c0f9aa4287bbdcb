//! Test doubles of GitHub, Gitea, Forgejo and GitLab, with issues and pull requests that a test creates and changes, and
//! with injected faults.
//!
//! They follow the documentation of the real servers rather than our client: they also answer with fields that our client
//! does not read, so that other clients work with them too.

mod access;
mod api_request;
mod changes;
pub mod check;
pub mod comment;
mod controls;
mod delivery;
mod event;
pub mod fault;
mod flavor;
mod gitea;
mod github;
mod gitlab;
mod handler;
pub mod hook;
pub mod issue;
mod list;
pub mod mark;
mod merging;
pub mod permission;
pub mod pull_request;
mod reply;
mod repositories;
pub mod request;
mod scheduled_merges;
pub mod server;
mod state;
