//! GitHub and GitHub Enterprise Server.

mod api;
mod checks;
mod hooks;
mod issues;
mod marks;
mod merging;
mod project;
mod pull_requests;
mod reviews;

pub(super) use api::GITHUB;
