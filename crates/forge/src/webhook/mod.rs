//! Webhook deliveries: whether a server sent them, and what they are about.
//!
//! A delivery is a hint. It names what changed, and the caller reads the facts from the server: what a body says about
//! titles, labels or authors is never used.

pub mod delivery;
pub mod notice;
