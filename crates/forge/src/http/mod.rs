//! HTTP for every kind of forge: where the token is sent, time limits, retries, pages, and what a status means. Requests
//! and their JSON belong to [`kinds`](crate::kinds).

pub(crate) mod base_url;
pub(crate) mod budget;
mod cache;
pub(crate) mod client;
pub mod credentials;
mod excerpt;
pub(crate) mod fetch;
mod graphql;
pub mod limits;
pub(crate) mod message;
pub(crate) mod paging;
mod rate_limit;
mod retry;
mod status;
pub mod transport;
