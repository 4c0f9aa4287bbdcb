//! Child processes that always end.
//!
//! Two kinds: a [`Short`] child (git, `agent --version`), run to its end with bounded output, and a [`Tree`]: a
//! long-lived agent with everything it starts. Where a tree must not write, it is shut in a [`cage`]. This crate
//! knows nothing of git or of agents.

pub mod cage;
mod capture;
mod cgroup;
mod child;
mod error;
mod fresh;
#[cfg(target_os = "linux")]
mod linux;
mod marker;
mod means;
mod orphans;
mod own;
mod process;
mod program;
mod ps;
mod pump;
pub mod short;
mod sweep;
mod table;
pub mod tree;
mod tree_killer;
mod unix;

pub use capture::Filter;
pub use error::RunError;
pub use marker::{BadMarker, MARKER, Marker};
pub use means::{Means, means};
pub use nix::unistd::Pid;
pub use orphans::adopt_orphans;
pub use program::{is_program, on_path};
pub use short::{Ended, Short, run, run_watched};
pub use sweep::{Swept, stragglers, sweep};
pub use tree::{SpawnError, Spec, Tree};
