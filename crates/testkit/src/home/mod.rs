//! A hermetic home for the programs of a test that leaves no files or processes behind.

pub mod directory;
mod processes;
mod run;
