//! The files of a run on an issue: prepared before the agent starts, inspected after it has ended.

pub(crate) mod files;
pub(crate) mod finish;
pub(crate) mod sandboxed;
mod verify;
