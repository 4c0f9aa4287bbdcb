//! Finding every process of a tree, and ending all of them.

pub(crate) mod cgroup;
mod detect;
pub(crate) mod orphans;
mod ps;
pub(crate) mod table;
pub(crate) mod tree_killer;

pub use detect::Tracking;
pub use orphans::adopt_orphans;
