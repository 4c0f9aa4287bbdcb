//! Restrictions on a process tree: it sees the file system read-only and can write a few directories of it.
//!
//! The kernel enforces them, by one of three [`Backend`]s, and no process in the sandbox can get rid of them. With
//! [`Network::Host`] they do not restrict the network: TCP services of this machine are reachable, and everything readable can be
//! sent away.
//!
//! Code outside of the sandbox that reads or writes a writable directory must not follow links in it. A sandboxed process
//! can replace a file by a link to any path, and the host would write there.

mod backend;
#[cfg(target_os = "linux")]
mod bubblewrap;
#[cfg(target_os = "linux")]
mod entry;
#[cfg(target_os = "linux")]
mod file_tree;
#[cfg(target_os = "linux")]
mod landlock;
mod layout;
#[cfg(target_os = "linux")]
mod mount_calls;
#[cfg(target_os = "linux")]
mod namespaces;
#[cfg(target_os = "linux")]
mod network;
#[cfg(target_os = "linux")]
mod paths;
#[cfg(target_os = "linux")]
mod plan;
#[cfg(target_os = "linux")]
mod prepared;
#[cfg(target_os = "linux")]
mod probe;
#[cfg(target_os = "linux")]
mod seccomp;
#[cfg(target_os = "linux")]
mod shared_paths;
#[cfg(not(target_os = "linux"))]
mod unsupported;

pub use backend::{Backend, NoBackend};
#[cfg(target_os = "linux")]
pub use entry::enter;
pub use layout::{FileAccess, Helper, Network, PRIVATE_DIRECTORIES, Sandbox, SandboxError};
#[cfg(target_os = "linux")]
pub(crate) use prepared::{Channel, PreparedSandbox};
#[cfg(target_os = "linux")]
pub use probe::{best_backend, check_backend};
#[cfg(not(target_os = "linux"))]
pub(crate) use unsupported::{Channel, PreparedSandbox};
#[cfg(not(target_os = "linux"))]
pub use unsupported::{best_backend, check_backend, enter};
