//! Gitea, and Forgejo, which has its API.

mod authoring;
mod changes;
mod reads;
mod routes;
mod view;
mod webhooks;

pub(super) use routes::{answer, forgejo};
pub(super) use webhooks::delivery;
