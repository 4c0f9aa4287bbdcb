//! What people type, read through the crate's public face.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its own table has failed")]

mod place;
mod roundtrip;
mod vectors;
