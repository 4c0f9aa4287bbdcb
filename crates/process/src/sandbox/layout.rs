//! The files that a sandboxed process may read and write.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use super::backend::{Backend, NoBackend};

/// Directories that the programs of all users share. With namespaces they are private and empty.
pub const PRIVATE_DIRECTORIES: [&str; 3] = ["/tmp", "/var/tmp", "/run"];

/// Exceptions from a file system that is readable and read-only. Of nested paths, the more specific one applies.
///
/// All paths must exist when the process is started. None may be a symbolic link itself; the directories above it may be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileAccess {
    /// Directories that can be written, with everything below them. Writing a file that has a second name elsewhere (a hard
    /// link) changes it there too.
    pub writable: Vec<PathBuf>,
    /// Directories and files below hidden ones that can be read nevertheless. [`Backend::Bubblewrap`] hides `/tmp`,
    /// `/var/tmp` and `/run` as well.
    pub readable: Vec<PathBuf>,
    /// Directories whose contents cannot be read.
    pub hidden: Vec<PathBuf>,
    /// Directories that can be written, while the directories outside do not change: what is written is gone with the tree. Only
    /// [`Backend::Namespaces`] can do that, and not on every kernel; otherwise they can be read.
    pub copied: Vec<PathBuf>,
    /// Symbolic links in hidden and private directories, each with its target.
    pub links: Vec<(PathBuf, PathBuf)>,
    /// Directories that are empty and can be written; what is written there is gone with the tree. [`Backend::Landlock`] hides them.
    pub private: Vec<PathBuf>,
}

/// The network of a sandboxed process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Network {
    /// That of the machine.
    Host,
    /// A loopback interface and nothing else. Needs namespaces.
    Own {
        /// Ports of that interface on which this process listens: [`Tree::listeners`](crate::Tree).
        listeners: Vec<u16>,
    },
}

/// The program that builds a sandbox from within: it calls [`enter`](super::enter) with its last two arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Helper {
    pub program: PathBuf,
    /// The arguments before those two.
    pub args: Vec<OsString>,
}

impl Helper {
    /// The argument with which kugetsu is the helper.
    pub const COMMAND: &str = "sandbox-helper";

    /// The program of this process, also after its file was replaced.
    pub fn of_this_program() -> Self {
        Self { program: "/proc/self/exe".into(), args: vec![Self::COMMAND.into()] }
    }
}

/// Restrictions, and how to enforce them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    pub files: FileAccess,
    pub network: Network,
    pub helper: Helper,
    /// See [`best_backend`](super::best_backend).
    pub backend: Backend,
}

/// A sandbox that cannot be built, or cannot hold the program.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    #[error("cannot build a sandbox with {}: {source}", .path.display())]
    Unusable { path: PathBuf, source: io::Error },
    /// A link could point elsewhere by the time the kernel follows it.
    #[error("cannot build a sandbox with {}: it is a symbolic link", .path.display())]
    Link { path: PathBuf },
    /// Some directory on the way to a path was replaced by a link. A sandboxed process can do that in its writable
    /// directories.
    #[error("cannot build a sandbox with {}: it resolves to {}, outside of {}", .path.display(), .found.display(), .within.display())]
    Escapes { path: PathBuf, found: PathBuf, within: PathBuf },
    #[error("cannot hide or protect {}: it is in {}, which is writable as a whole", .path.display(), .within.display())]
    InWritable { path: PathBuf, within: PathBuf },
    #[error("cannot build a sandbox in which the whole file system is writable or hidden")]
    WholeFileSystem,
    /// The working directory or the program is hidden.
    #[error("cannot start in a sandbox that hides {}", .path.display())]
    Hidden { path: PathBuf },
    #[error(transparent)]
    NoBackend(#[from] NoBackend),
    #[error("could not build a sandbox by {backend}: {source}")]
    System { backend: Backend, source: io::Error },
    #[error("{backend} cannot give a program its own network")]
    NeedsNamespaces { backend: Backend },
}

impl SandboxError {
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unusable { .. } => Some("it must exist before the start".to_owned()),
            Self::Link { .. } => Some("use the directory that it points to".to_owned()),
            Self::Escapes { .. } => Some("look for a symbolic link on its way that does not belong there".to_owned()),
            Self::WholeFileSystem => Some("use directories below /".to_owned()),
            Self::Hidden { .. } => Some("make it readable or writable".to_owned()),
            Self::NoBackend(error) => error.hint(),
            Self::InWritable { .. } | Self::System { .. } | Self::NeedsNamespaces { .. } => None,
        }
    }
}
