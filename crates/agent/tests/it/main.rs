//! The connection to an agent, from both ends.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step of a test must stop it at once")]
#![allow(clippy::print_stderr, reason = "a test that is skipped says so")]

mod faults;
mod live;
mod opencode;
mod peer;
mod questions;
mod scripted;
mod sessions;
mod turns;
