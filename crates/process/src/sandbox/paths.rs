//! Resolves the paths of a sandbox and checks that none of them leads elsewhere.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use super::layout::{FileAccess, SandboxError};

#[derive(Debug, Default)]
pub(super) struct ResolvedPaths {
    pub(super) writable: Vec<ResolvedPath>,
    pub(super) readable: Vec<ResolvedPath>,
    pub(super) hidden: Vec<ResolvedPath>,
    pub(super) private: Vec<ResolvedPath>,
    pub(super) copied: Vec<ResolvedPath>,
    /// Absolute paths of links, with their targets. They are looked up in what a sandboxed process sees, not here.
    pub(super) links: Vec<(PathBuf, PathBuf)>,
}

#[derive(Debug)]
pub(super) struct ResolvedPath {
    /// Absolute and without links.
    pub(super) path: PathBuf,
    /// Keeps the file that was checked (`O_PATH`).
    pub(super) fd: OwnedFd,
    pub(super) is_directory: bool,
    /// The path as the caller gave it, made absolute.
    given: PathBuf,
}

impl ResolvedPaths {
    pub(super) fn resolve(files: &FileAccess) -> Result<Self, SandboxError> {
        let all =
            |paths: &[PathBuf]| paths.iter().map(|path| ResolvedPath::resolve(path)).collect::<Result<Vec<_>, _>>();
        let paths = Self {
            writable: all(&files.writable)?,
            readable: all(&files.readable)?,
            hidden: all(&files.hidden)?,
            private: all(&files.private)?,
            copied: all(&files.copied)?,
            links: files.links.clone(),
        };
        paths.check()?;
        Ok(paths)
    }

    fn check(&self) -> Result<(), SandboxError> {
        for path in self.writable.iter().chain(&self.hidden).chain(&self.private) {
            if !path.is_directory {
                let source = Errno::ENOTDIR.into();
                return Err(SandboxError::Unusable { path: path.given.clone(), source });
            }
            if path.path == Path::new("/") {
                return Err(SandboxError::WholeFileSystem);
            }
        }
        for outer in &self.writable {
            for inner in self.all().filter(|inner| inner.given.starts_with(&outer.given)) {
                if !inner.path.starts_with(&outer.path) {
                    let (path, found) = (inner.given.clone(), inner.path.clone());
                    return Err(SandboxError::Escapes { path, found, within: outer.given.clone() });
                }
            }
            if let Some(inner) = self.emptied().chain(self.shown()).find(|inner| inner.path.starts_with(&outer.path)) {
                return Err(SandboxError::InWritable { path: inner.given.clone(), within: outer.given.clone() });
            }
        }
        Ok(())
    }

    fn all(&self) -> impl Iterator<Item = &ResolvedPath> {
        self.writable.iter().chain(self.shown()).chain(self.emptied())
    }

    /// The paths that can be read, and not written outside.
    pub(super) fn shown(&self) -> impl Iterator<Item = &ResolvedPath> {
        self.readable.iter().chain(&self.copied)
    }

    /// The directories whose contents are not shown.
    pub(super) fn emptied(&self) -> impl Iterator<Item = &ResolvedPath> {
        self.hidden.iter().chain(&self.private)
    }

    /// Returns whether a sandboxed process can read `path`, if `also_hidden` is hidden as well.
    pub(super) fn is_visible(&self, path: &Path, also_hidden: &[PathBuf]) -> bool {
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let depth_of_nearest = |directories: &mut dyn Iterator<Item = &Path>| {
            directories.filter(|outer| path.starts_with(outer)).map(|outer| outer.components().count()).max()
        };
        let shown = depth_of_nearest(&mut self.writable.iter().chain(self.shown()).map(|shown| shown.path.as_path()));
        let hidden = depth_of_nearest(
            &mut self.emptied().map(|hidden| hidden.path.as_path()).chain(also_hidden.iter().map(PathBuf::as_path)),
        );
        hidden.is_none_or(|hidden| shown.is_some_and(|shown| shown >= hidden))
    }
}

impl ResolvedPath {
    fn resolve(given: &Path) -> Result<Self, SandboxError> {
        let unusable = |source: io::Error| SandboxError::Unusable { path: given.to_owned(), source };
        let metadata = fs::symlink_metadata(given).map_err(unusable)?;
        if metadata.is_symlink() {
            return Err(SandboxError::Link { path: given.to_owned() });
        }
        let path = fs::canonicalize(given).map_err(unusable)?;
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = open(&path, flags, Mode::empty()).map_err(|error| unusable(error.into()))?;
        // Between the two calls above, a directory on the way may have been replaced by a link.
        let opened = fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).map_err(unusable)?;
        if opened != path {
            return Err(unusable(io::Error::other("it was replaced while it was resolved")));
        }
        let given = std::path::absolute(given).map_err(unusable)?;
        Ok(Self { is_directory: path.is_dir(), path, fd, given })
    }
}
