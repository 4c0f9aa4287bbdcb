//! GitLab.

mod authoring;
mod changes;
mod edits;
mod merge_requests;
mod reads;
mod routes;
mod view;
mod webhooks;

pub(super) use routes::answer;
pub(super) use webhooks::delivery;
