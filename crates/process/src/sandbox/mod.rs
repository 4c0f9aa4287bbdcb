//! A read-only cage for an agent: it and all it starts see the file system, and can write a few directories of it only.
//!
//! The kernel keeps it, by one of two means ([`Backend`]), and nothing in the cage can leave it again. What is not
//! kept: the network is open, TCP services of this machine included, and what can be read can be sent away.
//! Whoever reads or writes a writable directory from outside must not follow links in it: a caged process may put a link
//! to anywhere in the path of a file, and the host would write through it.

mod backend;
mod layout;
#[cfg(not(target_os = "linux"))]
mod unsupported;

#[cfg(target_os = "linux")]
mod bubblewrap;
#[cfg(target_os = "linux")]
mod landlock;
#[cfg(target_os = "linux")]
mod memfd;
#[cfg(target_os = "linux")]
mod paths;
#[cfg(target_os = "linux")]
mod prepared;
#[cfg(target_os = "linux")]
mod probe;
#[cfg(target_os = "linux")]
mod seccomp;

pub use backend::{Backend, NoBackend};
pub use layout::{FileAccess, Sandbox, SandboxError};
#[cfg(target_os = "linux")]
pub(crate) use prepared::PreparedSandbox;
#[cfg(target_os = "linux")]
pub use probe::{best_backend, check_backend};
#[cfg(not(target_os = "linux"))]
pub(crate) use unsupported::PreparedSandbox;
#[cfg(not(target_os = "linux"))]
pub use unsupported::{best_backend, check_backend};
