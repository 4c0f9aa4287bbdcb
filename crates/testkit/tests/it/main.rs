//! Tests of the test doubles, used as other crates use them: over HTTP, over stdio and with the real git.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test stops at once with a message"
)]

mod acp;
mod alive;
mod dialects;
mod git_server;
mod home;
mod http;
mod model_server;
mod opencode;
mod real_agents;
mod recording;
mod scripted_agent;
mod sessions;
