//! The coordinator: an agent that starts and watches the work of others, and writes nothing itself.
//!
//! It is asked like an issue: its messages are tasks in the queue, worked off one after the other in one session, by runs
//! with a runner of their own. Between them there is no process. When everything that it asked for during a message is
//! settled, it is told so and reports.

pub mod delegate;
pub(crate) mod facts;
mod reading;
pub(crate) mod reports;
pub(crate) mod rounds;
