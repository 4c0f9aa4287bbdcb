//! The vocabulary and the state machine from outside: tables, and invariants after any sequence of events.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot continue has failed")]

mod choice;
mod flow;
mod following;
mod invariants;
mod masks;
mod names;
mod page;
mod tables;
mod world;
