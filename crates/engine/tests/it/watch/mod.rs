//! Watched repositories on servers that fail: nothing is lost, and nothing is done twice.

mod faults;
mod races;
mod restarts;
mod stage;
mod story;
