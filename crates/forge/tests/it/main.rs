//! The crate through its public interface: what users type, and what servers respond.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its data has failed")]

mod bodies;
mod changes;
mod checks;
mod clients;
mod clone_source;
mod conversation;
mod deliveries;
mod detect;
mod hostile;
mod issues;
mod marks;
mod merging;
mod myworld;
mod other_bodies;
mod prism;
mod pull_requests;
mod refusals;
mod retry;
mod reviews;
mod roundtrip;
mod scheduled_merges;
mod stage;
mod unchanged;
mod vectors;
mod webhooks;
