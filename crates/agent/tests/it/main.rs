//! The connection to an agent, tested from both ends.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step fails the test")]
#![allow(clippy::print_stderr, reason = "a skipped test is reported")]

mod faults;
mod live;
mod opencode;
mod peer;
mod questions;
mod recorded;
mod scripted;
mod sessions;
mod set_up;
mod turns;
