//! The program from outside: the real binary, the real daemon and runners, real git. The agent is the scripted one,
//! except in the tests of `opencode`.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on shall fail")]
#![allow(clippy::print_stderr, reason = "a test that is skipped says so")]

mod again;
mod branches;
mod changes;
mod confined;
mod delegate;
mod destroy;
mod doctor;
mod ends;
mod git_servers;
mod import;
mod job;
mod live_settings;
mod many;
mod messages;
mod opencode;
mod queue;
mod server;
mod settings;
mod surface;
mod survive;
mod waiting;
mod world;
mod wrong;
