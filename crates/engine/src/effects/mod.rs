//! One file per effect: how each is executed. `execute.rs` picks the file.

pub(crate) mod backoff;
mod cancel_run;
mod end_pause;
pub(crate) mod execute;
mod find_pull_request;
pub(crate) mod outcome;
mod remove_files;
mod report;
mod rescue;
mod run;
