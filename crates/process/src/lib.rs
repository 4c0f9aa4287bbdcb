//! Child processes that always end.
//!
//! There are two kinds: a [`OneShot`] child (git, `agent --version`) runs to its end with bounded output; a [`Tree`] is a
//! long-lived agent with everything that it starts. A [`sandbox`] restricts what a tree may read and write. This crate
//! knows nothing of git or of agents.

mod capture;
mod cgroup;
mod child;
mod child_registry;
mod error;
#[cfg(target_os = "linux")]
mod linux;
mod marker;
mod one_shot;
mod orphans;
mod pre_exec;
mod process;
mod program;
mod ps;
mod pump;
pub mod sandbox;
mod sweep;
mod table;
mod tracking;
mod tree;
mod tree_killer;
mod unix;

pub use capture::Filter;
pub use error::RunError;
pub use marker::{InvalidMarker, MARKER, Marker};
pub use nix::unistd::Pid;
pub use one_shot::{Completed, OneShot, run, run_watched};
pub use orphans::adopt_orphans;
pub use program::{find_on_path, is_executable};
pub use sweep::{Swept, leftover_processes, sweep};
pub use tracking::Tracking;
pub use tree::{SpawnError, Tree, TreeExit, TreeSpec};
