//! The agents on this machine: which are installed and logged in, and which is used for tasks that name none. Nothing here
//! reads settings; the callers pass them.

pub(crate) mod choice;
pub(crate) mod login;
pub(crate) mod report;
pub(crate) mod trial;
