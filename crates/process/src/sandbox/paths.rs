//! The paths of a cage, looked at: where they really are, and that nothing on the way was exchanged.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use super::layout::{FileAccess, SandboxError};

/// The real paths of a cage.
#[derive(Debug, Default)]
pub(super) struct ResolvedPaths {
    pub(super) writable: Vec<ResolvedPath>,
    pub(super) readable: Vec<ResolvedPath>,
    pub(super) hidden: Vec<ResolvedPath>,
}

/// Held open, so that it stays the one that was looked at.
#[derive(Debug)]
pub(super) struct ResolvedPath {
    /// Without links.
    pub(super) path: PathBuf,
    /// Without the right to read it.
    pub(super) fd: std::os::fd::OwnedFd,
    pub(super) is_directory: bool,
    /// As it was given.
    given: PathBuf,
}

impl ResolvedPaths {
    pub(super) fn look(files: &FileAccess) -> Result<Self, SandboxError> {
        let all = |paths: &[PathBuf]| paths.iter().map(|path| ResolvedPath::look(path)).collect::<Result<Vec<_>, _>>();
        let paths =
            Self { writable: all(&files.writable)?, readable: all(&files.readable)?, hidden: all(&files.hidden)? };
        paths.check()?;
        Ok(paths)
    }

    fn check(&self) -> Result<(), SandboxError> {
        for path in self.writable.iter().chain(&self.hidden) {
            if !path.is_directory {
                let source = Errno::ENOTDIR.into();
                return Err(SandboxError::Unusable { path: path.given.clone(), source });
            }
            if path.path == Path::new("/") {
                return Err(SandboxError::Whole);
            }
        }
        for outer in &self.writable {
            for inner in self.all().filter(|inner| inner.given.starts_with(&outer.given)) {
                if !inner.path.starts_with(&outer.path) {
                    let (path, found) = (inner.given.clone(), inner.path.clone());
                    return Err(SandboxError::Astray { path, found, within: outer.given.clone() });
                }
            }
            if let Some(inner) =
                self.hidden.iter().chain(&self.readable).find(|inner| inner.path.starts_with(&outer.path))
            {
                return Err(SandboxError::Within { path: inner.given.clone(), within: outer.given.clone() });
            }
        }
        Ok(())
    }

    fn all(&self) -> impl Iterator<Item = &ResolvedPath> {
        self.writable.iter().chain(&self.readable).chain(&self.hidden)
    }

    /// Whether what is at `path` can be read in the cage, if these directories are hidden as well.
    pub(super) fn shows(&self, path: &Path, hidden_too: &[PathBuf]) -> bool {
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let nearest = |directories: &mut dyn Iterator<Item = &Path>| {
            directories.filter(|outer| path.starts_with(outer)).map(|outer| outer.components().count()).max()
        };
        let shown = nearest(&mut self.writable.iter().chain(&self.readable).map(|path| path.path.as_path()));
        let hidden = nearest(
            &mut self.hidden.iter().map(|path| path.path.as_path()).chain(hidden_too.iter().map(PathBuf::as_path)),
        );
        hidden.is_none_or(|hidden| shown.is_some_and(|shown| shown >= hidden))
    }
}

impl ResolvedPath {
    fn look(given: &Path) -> Result<Self, SandboxError> {
        let unusable = |source: io::Error| SandboxError::Unusable { path: given.to_owned(), source };
        let kind = fs::symlink_metadata(given).map_err(unusable)?;
        if kind.is_symlink() {
            return Err(SandboxError::Link { path: given.to_owned() });
        }
        let path = fs::canonicalize(given).map_err(unusable)?;
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = open(&path, flags, Mode::empty()).map_err(|error| unusable(error.into()))?;
        // What was opened must be what was looked at, whatever happened between.
        let opened = fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).map_err(unusable)?;
        if opened != path {
            return Err(unusable(io::Error::other("it was exchanged while it was looked at")));
        }
        let given = std::path::absolute(given).map_err(unusable)?;
        Ok(Self { is_directory: path.is_dir(), path, fd, given })
    }
}
