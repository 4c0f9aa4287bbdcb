//! One way to ask over HTTP, for every forge: where a token goes, how long anything takes, how much is read, and what
//! a status means. What is asked, and what the answer says, is the implementations'.

pub(super) mod answer;
pub(super) mod base_url;
pub(super) mod client;
pub mod credentials;
mod excerpt;
pub(super) mod fetch;
pub mod limits;
pub(super) mod paging;
mod rate_limit;
pub(super) mod retry;
mod status;
pub mod transport;
