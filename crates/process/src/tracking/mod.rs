//! Finding every process of a tree, and ending all of them.

pub(crate) mod cgroup;
pub(crate) mod controllers;
mod detect;
mod meter;
mod mount;
pub(crate) mod orphans;
mod ps;
pub(crate) mod table;
pub(crate) mod tree_killer;

pub use controllers::{Controllers, HOST, TreeLimits, enable_controllers};
pub use detect::Tracking;
pub use meter::{Excess, Meter, Reading};
pub use orphans::adopt_orphans;
