//! One file per effect: how each is executed. `execute.rs` picks the file.

mod announce;
mod answer;
mod cancel_merge;
mod cancel_run;
mod comment;
mod complete;
mod end_pause;
pub(crate) mod execute;
mod find_pull_request;
mod follow;
mod merge;
pub(crate) mod outcome;
mod publish;
mod remove_files;
mod report;
mod rescue;
mod run;
mod unmerged;
mod unwatched;
mod wait;
