//! The crate through its public face: what people type, and what servers answer.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its own table has failed")]
#![expect(clippy::print_stderr, reason = "a test that is left out says so")]

mod bodies;
mod clone_source;
mod detect;
mod hostile;
mod issues;
mod myworld;
mod prism;
mod program;
mod pull_requests;
mod refusals;
mod retry;
mod roundtrip;
mod stage;
mod vectors;
