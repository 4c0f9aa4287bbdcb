//! What a caged process can write, read and not see.

use std::io;
use std::path::PathBuf;

use super::backend::{Backend, NoBackend};

/// The file system as a caged process finds it: readable and read-only, apart from these. The more specific path counts.
/// All must exist when a process is started; none is a symbolic link itself, the directories above it may be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileAccess {
    /// Directories that can be written, with all below them. A file in them that has a second name elsewhere (a hard
    /// link) is written there too.
    pub writable: Vec<PathBuf>,
    /// Directories and files below hidden ones that can be read all the same. With [`Backend::Bubblewrap`] `/tmp`,
    /// `/var/tmp` and `/run` are private to the cage, as if they were hidden.
    pub readable: Vec<PathBuf>,
    /// Directories whose contents cannot be read.
    pub hidden: Vec<PathBuf>,
}

/// A cage and what keeps it shut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    /// What is to be kept.
    pub files: FileAccess,
    /// By what: see [`super::best`].
    pub backend: Backend,
}

/// A cage that cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A path of the cage is missing, or is not what it must be.
    #[error("cannot build a cage with {}: {source}; it must exist before the start", .path.display())]
    Unusable {
        /// As it was given.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A link could lead anywhere by the time it is followed.
    #[error("cannot build a cage with {}: it is a symbolic link; name the directory that it stands for", .path.display())]
    Link {
        /// As it was given.
        path: PathBuf,
    },
    /// Something on the way to a path has been replaced by a link, which a caged process can do in its directories.
    #[error("cannot build a cage with {}: it leads to {}, out of {}; look for a symbolic link on the way that does not belong there", .path.display(), .found.display(), .within.display())]
    Astray {
        /// As it was given.
        path: PathBuf,
        /// Where it is really.
        found: PathBuf,
        /// The writable directory it should be in.
        within: PathBuf,
    },
    /// A writable directory is writable as a whole.
    #[error("cannot build a cage in which {} is hidden or read-only: it lies in {}, which is writable as a whole", .path.display(), .within.display())]
    Within {
        /// As it was given.
        path: PathBuf,
        /// The writable directory.
        within: PathBuf,
    },
    /// A cage with everything writable or hidden is none.
    #[error(
        "cannot build a cage with the whole file system as a writable or hidden directory: name the directories below /"
    )]
    Whole,
    /// Where the process is to start, or its program, is hidden.
    #[error("cannot start in a cage that hides {}: make it readable or writable", .path.display())]
    OutOfSight {
        /// As it was given.
        path: PathBuf,
    },
    /// The system has no means for a cage.
    #[error(transparent)]
    None(#[from] NoBackend),
    /// The means failed.
    #[error("could not build a cage by {backend}: {source}")]
    System {
        /// Which.
        backend: Backend,
        /// What the system says.
        source: io::Error,
    },
}
