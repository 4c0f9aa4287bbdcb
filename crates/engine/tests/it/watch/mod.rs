//! Watched repositories on servers that fail: nothing is lost, and nothing is done twice.

mod after_the_merge;
mod answers;
mod branches;
mod clocks;
mod commands;
mod cost;
mod failures;
mod hostile;
mod outages;
mod people;
mod policy;
mod questions;
mod races;
mod refusals;
mod reopened;
mod repo_files;
mod restarts;
mod reviews;
mod scheduled;
mod stage;
mod stopped_merges;
mod story;
mod tokens;
mod unwatched;
mod webhooks;
mod why;
