//! What the shell script left in the home: read leniently, never executed, taken over through the daemon.
//!
//! Nothing is known of the script but its commit log and its documents. What they do not say was inferred, and each
//! reader says at its head what that is.

mod alive;
mod backup;
pub(crate) mod carry_out;
mod index;
mod item;
mod json;
mod names;
mod places;
pub(crate) mod plan;
mod queue;
pub(crate) mod row;
mod session;
