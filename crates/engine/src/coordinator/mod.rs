//! The coordinator: an agent that starts and watches the work of others, and writes no code itself.
//!
//! It is modeled as an issue. Its messages are tasks in the queue, run one after the other in one session; between them
//! there is no process. When everything that a message led to has ended, the coordinator gets a report as another task.

pub mod delegate;
pub(crate) mod describe;
pub mod mentions;
pub(crate) mod report_text;
