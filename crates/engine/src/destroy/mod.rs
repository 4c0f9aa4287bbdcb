//! Removes an issue's files and session without losing work.

pub(crate) mod removal;
pub mod request;
pub mod risk;
mod session;
