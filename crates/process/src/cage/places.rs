//! The paths of a cage, looked at: where they really are, and that nothing on the way was exchanged.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use super::layout::{BadCage, Cage};

/// The real paths of a cage.
#[derive(Debug, Default)]
pub(super) struct Places {
    pub(super) writable: Vec<Place>,
    pub(super) readable: Vec<Place>,
    pub(super) hidden: Vec<Place>,
}

/// Held open, so that it stays the one that was looked at.
#[derive(Debug)]
pub(super) struct Place {
    /// Without links.
    pub(super) path: PathBuf,
    /// Without the right to read it.
    pub(super) fd: std::os::fd::OwnedFd,
    pub(super) is_directory: bool,
    /// As it was given.
    given: PathBuf,
}

impl Places {
    pub(super) fn look(cage: &Cage) -> Result<Self, BadCage> {
        let all = |paths: &[PathBuf]| paths.iter().map(|path| Place::look(path)).collect::<Result<Vec<_>, _>>();
        let places =
            Self { writable: all(&cage.writable)?, readable: all(&cage.readable)?, hidden: all(&cage.hidden)? };
        places.check()?;
        Ok(places)
    }

    fn check(&self) -> Result<(), BadCage> {
        for place in self.writable.iter().chain(&self.hidden) {
            if !place.is_directory {
                let source = Errno::ENOTDIR.into();
                return Err(BadCage::Unusable { path: place.given.clone(), source });
            }
            if place.path == Path::new("/") {
                return Err(BadCage::Whole);
            }
        }
        for outer in &self.writable {
            for inner in self.all().filter(|inner| inner.given.starts_with(&outer.given)) {
                if !inner.path.starts_with(&outer.path) {
                    let (path, found) = (inner.given.clone(), inner.path.clone());
                    return Err(BadCage::Astray { path, found, within: outer.given.clone() });
                }
            }
            if let Some(inner) =
                self.hidden.iter().chain(&self.readable).find(|inner| inner.path.starts_with(&outer.path))
            {
                return Err(BadCage::Within { path: inner.given.clone(), within: outer.given.clone() });
            }
        }
        Ok(())
    }

    fn all(&self) -> impl Iterator<Item = &Place> {
        self.writable.iter().chain(&self.readable).chain(&self.hidden)
    }

    /// Whether what is at `path` can be read in the cage, if these directories are hidden as well.
    pub(super) fn shows(&self, path: &Path, hidden_too: &[PathBuf]) -> bool {
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let nearest = |places: &mut dyn Iterator<Item = &Path>| {
            places.filter(|place| path.starts_with(place)).map(|place| place.components().count()).max()
        };
        let shown = nearest(&mut self.writable.iter().chain(&self.readable).map(|place| place.path.as_path()));
        let hidden = nearest(
            &mut self.hidden.iter().map(|place| place.path.as_path()).chain(hidden_too.iter().map(PathBuf::as_path)),
        );
        hidden.is_none_or(|hidden| shown.is_some_and(|shown| shown >= hidden))
    }
}

impl Place {
    fn look(given: &Path) -> Result<Self, BadCage> {
        let unusable = |source: io::Error| BadCage::Unusable { path: given.to_owned(), source };
        let kind = fs::symlink_metadata(given).map_err(unusable)?;
        if kind.is_symlink() {
            return Err(BadCage::Link { path: given.to_owned() });
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
