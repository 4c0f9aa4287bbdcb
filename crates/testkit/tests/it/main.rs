//! Drives the scripted parts as the tests of other crates do: over HTTP, over stdio, with the real git.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test stops at once and speaks to its developer"
)]

mod acp;
mod alive;
mod git_server;
mod home;
mod http;
mod model_server;
mod opencode;
mod scripted_agent;
mod sessions;
