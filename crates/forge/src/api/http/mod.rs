//! One way to ask over HTTP, for every forge: where a token goes, how long anything takes, how much is read, and what
//! a status means. What is asked, and what the answer says, is the implementations'.

pub(super) mod answer;
pub(super) mod client;
pub mod connector;
pub(super) mod exchange;
pub mod limits;
pub mod login;
pub(super) mod paging;
mod pause;
pub(super) mod retry;
pub(super) mod site;
mod verdict;
mod words;
