//! Reads for people: tasks, events, transcripts, and why a task is not running.

pub mod events;
pub mod tasks;
pub mod transcript;
pub mod why;
