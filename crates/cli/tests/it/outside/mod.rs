//! Watched repositories on emulators of GitHub that other people wrote, with the real opencode: from a labeled issue to a merged
//! pull request. Each test states what its emulator does not have.

mod emulate;
mod mirror;
mod myworld;
mod stage;
