//! The real agents with a scripted model, one file per guarantee. No account is needed, and nothing leaves this machine.
//!
//! Each test runs with every agent, , in tests named `needs_<agent>_...`.

mod canceled;
mod continued;
mod main_job;
mod silent;
mod stage;
