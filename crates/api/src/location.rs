//! The location of a home: where its daemon last found it. It shows whether a home was moved or copied since.
//!
//! A home is the same one for as long as its directory is: a copy has another inode. Whatever belongs to running processes
//! (their marker, their cgroup) carries the directory's number, so that a copy never touches those of the original.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use kugetsu_domain::hash::fnv1a;
use serde::{Deserialize, Serialize};

use crate::atomic_file::write_atomic;
use crate::home::Home;
use crate::regular_file;

/// The beginning of the markers of git processes.
const GIT: &str = "git-";
/// Longest file that is read, in bytes.
const LENGTH_MAX: u64 = 64 * 1024;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    pub path: PathBuf,
    device: u64,
    inode: u64,
}

impl Location {
    /// The location of an existing home.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn of(home: &Home) -> io::Result<Self> {
        let metadata = fs::metadata(home.path())?;
        Ok(Self { path: home.path().to_owned(), device: metadata.dev(), inode: metadata.ino() })
    }

    /// Whether both are the same directory, whatever its path.
    pub fn is_same_directory(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// Whether the directory is still at its path.
    pub fn is_there(&self) -> bool {
        self.is_at(&self.path)
    }

    /// Whether the directory is at a path.
    pub fn is_at(&self, path: &Path) -> bool {
        Self::of(&Home::new(path.to_owned())).is_ok_and(|there| there.is_same_directory(self))
    }

    /// The value of the marker of git processes that a run's runner starts. They are not the agent's, and what a hook of a local
    /// repository starts is not either: it may be meant to outlive a run that is not lost.
    pub fn git_marker(&self, run: &str) -> String {
        format!("{GIT}{run}{}", self.suffix())
    }

    /// Whether a marker is that of git processes.
    pub fn is_git_marker(marker: &str) -> bool {
        marker.starts_with(GIT)
    }

    /// The run, or the other work, that a marker without its [`suffix`](Self::suffix) is about.
    pub fn run_of_marker(name: &str) -> &str {
        name.strip_prefix(GIT).unwrap_or(name)
    }

    /// The end of the markers of all processes of this home.
    pub fn suffix(&self) -> String {
        format!(".{:016x}", fnv1a(format!("{}:{}", self.device, self.inode).as_bytes()))
    }
}

/// The content of the file `home.location`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocationRecord {
    /// Where a daemon last found the home.
    #[serde(flatten)]
    pub location: Location,
    /// When a daemon noticed that the home is a copy, in milliseconds since 1970. The agent's sessions from before belong to
    /// the original.
    #[serde(default)]
    pub copied_at: Option<i64>,
}

impl LocationRecord {
    /// Reads the file; `None` if no daemon has written it yet. An error is no `None`: such a home may be a copy, whose
    /// sessions belong to its original.
    ///
    /// # Errors
    /// The file cannot be read; with [`io::ErrorKind::InvalidData`], it contains something else.
    pub fn read(home: &Home) -> io::Result<Option<Self>> {
        let file = home.location();
        let metadata = match fs::symlink_metadata(&file) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if !metadata.is_file() {
            return Err(io::Error::other("it is not a file"));
        }
        let damaged = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
        if metadata.len() > LENGTH_MAX {
            return Err(damaged(format!("it has more than {LENGTH_MAX} bytes")));
        }
        let text = regular_file::read(&file)?;
        serde_json::from_slice(&text).map(Some).map_err(|error| damaged(format!("it contains no location: {error}")))
    }

    /// Writes the file. A machine that dies meanwhile leaves the earlier one. Only the daemon writes it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, home: &Home) -> io::Result<()> {
        write_atomic(&home.location(), &serde_json::to_vec(self)?)
    }
}

/// Returns the path at which the home's daemon found it, if that is another one: the home was moved or copied since.
///
/// # Errors
/// The file with it cannot be read; see [`LocationRecord::read`].
pub fn earlier_path(home: &Home) -> io::Result<Option<PathBuf>> {
    let Some(record) = LocationRecord::read(home)? else { return Ok(None) };
    let recorded = record.location.path;
    let is_here = |path: &Path| match (path.canonicalize(), home.path().canonicalize()) {
        (Ok(recorded), Ok(here)) => recorded == here,
        _ => path == home.path(),
    };
    Ok((!is_here(&recorded)).then_some(recorded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moved_home_is_the_same_and_a_copy_is_another() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let [old, new, copy] = ["old", "new", "copy"].map(|name| Home::new(root.join(name)));
        fs::create_dir(old.path()).unwrap();
        assert_eq!(LocationRecord::read(&old).unwrap(), None);
        let location = Location::of(&old).unwrap();
        let record = LocationRecord { location: location.clone(), copied_at: None };
        record.write(&old).unwrap();
        assert_eq!((LocationRecord::read(&old).unwrap(), earlier_path(&old).unwrap()), (Some(record), None));

        fs::rename(old.path(), new.path()).unwrap();
        assert_eq!(earlier_path(&new).unwrap().as_deref(), Some(old.path()));
        let moved = Location::of(&new).unwrap();
        assert!(moved.is_same_directory(&location) && !location.is_there() && moved.is_there());
        assert_eq!(moved.suffix(), location.suffix());

        fs::create_dir(copy.path()).unwrap();
        fs::copy(new.location(), copy.location()).unwrap();
        let copied = Location::of(&copy).unwrap();
        assert!(!copied.is_same_directory(&location));
        assert_ne!(copied.suffix(), location.suffix());

        // Under a link it is where it was.
        std::os::unix::fs::symlink(new.path(), old.path()).unwrap();
        assert_eq!(earlier_path(&new).unwrap(), None);
    }

    #[test]
    fn a_location_that_cannot_be_read_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path().to_owned());
        let long = " ".repeat(usize::try_from(LENGTH_MAX).unwrap() + 1);
        for damage in ["", "nonsense", "{}", &long] {
            fs::write(home.location(), damage).unwrap();
            assert_eq!(LocationRecord::read(&home).unwrap_err().kind(), io::ErrorKind::InvalidData);
            assert!(earlier_path(&home).is_err());
        }
        fs::remove_file(home.location()).unwrap();
        nix::unistd::mkfifo(&home.location(), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_ne!(LocationRecord::read(&home).unwrap_err().kind(), io::ErrorKind::InvalidData, "a pipe is not read");
        assert!(earlier_path(&home).is_err());
    }
}
