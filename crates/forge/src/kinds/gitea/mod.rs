//! Gitea and its descendant Forgejo.

mod api;
mod checks;
mod hooks;
mod issues;
mod labels;
mod marks;
mod merging;
mod project;
mod pull_requests;
mod reviews;

pub(super) use api::{FORGEJO, GITEA};
