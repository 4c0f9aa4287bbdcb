//! Imports the home of the shell script that preceded kugetsu: reads its files leniently, never executes them, and imports
//! their contents through the daemon's API.
//!
//! The script itself is not available, only its commit log and its documents. What these leave open is inferred; the first
//! comment of each reader says what.

mod apply;
mod backup;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod index;
mod json;
mod names;
mod plan;
mod processes;
mod queue;
mod row;
mod session;
mod worktrees;

pub use apply::{ImportError, Imported, Refusal, apply};
pub use plan::Plan;
pub use row::{Outcome, Row};
