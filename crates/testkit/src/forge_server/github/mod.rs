//! GitHub.

mod authoring;
mod changes;
mod graphql;
mod objects;
mod reads;
mod routes;
mod view;
mod webhooks;

pub(super) use routes::answer;
pub(super) use webhooks::delivery;
