//! A read-only cage for an agent: it and all it starts see the file system, and can write a few directories of it only.
//!
//! The kernel keeps it, by one of two means ([`Confinement`]), and nothing in the cage can leave it again. What is not
//! kept: the network is open, TCP services of this machine included, and what can be read can be sent away.
//! Whoever reads or writes a writable directory from outside must not follow links in it: a caged process may put a link
//! to anywhere in the place of a file, and the host would write through it.

mod confinement;
mod layout;
#[cfg(not(target_os = "linux"))]
mod nowhere;

#[cfg(target_os = "linux")]
mod bubblewrap;
#[cfg(target_os = "linux")]
mod cell;
#[cfg(target_os = "linux")]
mod landlock;
#[cfg(target_os = "linux")]
mod memory;
#[cfg(target_os = "linux")]
mod places;
#[cfg(target_os = "linux")]
mod probe;
#[cfg(target_os = "linux")]
mod seccomp;

#[cfg(target_os = "linux")]
pub(crate) use cell::Cell;
pub use confinement::{Confinement, NoCage};
pub use layout::{BadCage, Cage, Caged};
#[cfg(not(target_os = "linux"))]
pub(crate) use nowhere::Cell;
#[cfg(not(target_os = "linux"))]
pub use nowhere::{best, can_be_had};
#[cfg(target_os = "linux")]
pub use probe::{best, can_be_had};
