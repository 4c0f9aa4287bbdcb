//! Starting one child, exchanging bytes with it, and ending its process group.

pub(crate) mod capture;
pub(crate) mod group;
mod one_shot;
pub(crate) mod pre_exec;
mod program;
mod pump;
pub(crate) mod registry;

pub use capture::Filter;
pub use one_shot::{Completed, OneShot, run, run_watched};
pub use program::{RunError, find_on_path, is_executable, shebang};
