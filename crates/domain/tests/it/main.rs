//! The words and the state machine, from outside: tables, and what must hold after any sequence of events.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on shall fail")]

mod choice;
mod flow;
mod invariants;
mod masks;
mod names;
mod page;
mod tables;
mod world;
