//! A hermetic home for the programs of a test, which leaves neither files nor processes behind.

pub mod directory;
mod processes;
mod run;
