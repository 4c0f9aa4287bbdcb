//! Removes an issue's files and session without losing work.

pub mod request;
