//! Forges that a test can talk to: GitHub, Gitea, Forgejo and GitLab, as far as their documentation says how they answer,
//! with issues and pull requests that a test makes and alters, and with the faults it asks for.
//!
//! They are written to what the servers document, not to what our client asks: fields that nobody here reads are there
//! too, so that a client of somebody else's can be pointed at them.

mod access;
pub mod fault;
mod flavor;
mod gitea;
mod github;
mod github_shape;
mod gitlab;
mod handler;
pub mod issue;
mod list;
pub mod pull_request;
mod question;
pub mod record;
mod reply;
pub mod server;
mod world;
