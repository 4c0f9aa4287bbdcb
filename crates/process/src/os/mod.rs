//! The operating system's interfaces for listing and signaling processes and for adopting orphans.

#[cfg(target_os = "linux")]
pub(crate) mod linux;
pub(crate) mod unix;
#[cfg(target_os = "linux")]
pub(crate) mod usage;

#[cfg(target_os = "linux")]
pub(crate) use linux::{adopt, adopts, children, listening_ports, protect_memory};
pub(crate) use unix::{Process, Usage, closure};
#[cfg(not(target_os = "linux"))]
pub(crate) use unix::{adopt, adopts, children, listening_ports, protect_memory};
