//! Child processes that always end.
//!
//! There are two kinds: a [`OneShot`] child (git, `agent --version`) runs to its end with bounded output; a [`Tree`] is a
//! long-lived agent with everything that it starts. A [`sandbox`] restricts what a tree may read and write. This crate
//! knows nothing of git or of agents.

mod child;
mod lineage;
mod marker;
mod os;
pub mod sandbox;
mod sweep;
mod tracking;
mod tree;

pub use child::{Completed, Filter, OneShot, RunError, find_on_path, is_executable, run, run_watched, shebang};
pub use lineage::{Ancestor, lineage, protect_memory};
pub use marker::{InvalidMarker, MARKER, Marker};
pub use nix::unistd::Pid;
pub use sweep::{
    Swept, Worker, kill_with_arguments, leftover_processes, remove_abandoned_cgroups, sweep, sweep_all, working_in,
};
pub use tracking::{
    Controllers, Excess, HOST as HOST_CGROUP, Meter, Reading, Tracking, TreeLimits, adopt_orphans, enable_controllers,
};
pub use tree::{SpawnError, Tree, TreeExit, TreeSpec};
