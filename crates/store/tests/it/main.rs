//! The store on a real database file.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failed setup fails the test")]

mod damage;
mod delegated;
mod earlier_schema;
mod fence;
mod following;
mod lost_file;
mod opening;
mod queue;
mod together;
mod world;
