//! The words of kugetsu and its state machine.
//!
//! No IO and no clock live here: whoever needs the time passes `now`, and whoever stores or sends a word converts it at
//! the edge into a type of its own. Everything above may import this crate; it imports nothing of kugetsu.

pub mod change;
pub mod counted;
pub mod flow;
pub mod hash;
pub mod ids;
pub mod issue;
pub mod machine;
pub mod naming;
pub mod redact;
pub mod reference;
pub mod run;
pub mod schedule;
mod secret_forms;
pub mod session;
pub mod shell;
pub mod task;
