//! GitLab, whose pull requests are called merge requests.

mod api;
mod checks;
mod hooks;
mod hunk;
mod issues;
mod marks;
mod merge_requests;
mod merging;
mod project;
mod reviews;
mod versions;

pub(super) use api::GITLAB;
