//! The store on a real file: what was confirmed is there, what is damaged stands in nobody's way.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on shall fail")]

mod damage;
mod delegated;
mod fence;
mod opening;
mod queue;
mod together;
mod world;
