//! The crate through its public interface: what users type, and what servers respond.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its data has failed")]
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

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
