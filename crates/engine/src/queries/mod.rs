//! Reads for people: differences, tasks, repositories, events, transcripts, and why a task is not running.

pub(crate) mod agent_comments;
pub mod diff;
pub mod events;
pub mod issues;
pub mod repos;
pub mod tasks;
pub mod transcript;
pub mod why;
