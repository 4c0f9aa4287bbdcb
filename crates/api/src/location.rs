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

use crate::home::Home;

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
    /// Reads the file; `None` if it was never written, or if it is damaged.
    pub fn read(home: &Home) -> Option<Self> {
        let file = home.location();
        let metadata = fs::symlink_metadata(&file).ok()?;
        if !metadata.is_file() || metadata.len() > LENGTH_MAX {
            return None;
        }
        serde_json::from_slice(&fs::read(&file).ok()?).ok()
    }

    /// Writes the file. A machine that dies meanwhile leaves the earlier one. Only the daemon writes it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, home: &Home) -> io::Result<()> {
        let part = home.path().join(".home.location.new");
        fs::write(&part, serde_json::to_vec(self)?)?;
        fs::rename(&part, home.location())
    }
}

/// Returns the path at which the home's daemon found it, if that is another one: the home was moved or copied since.
pub fn earlier_path(home: &Home) -> Option<PathBuf> {
    let recorded = LocationRecord::read(home)?.location.path;
    let is_here = |path: &Path| match (path.canonicalize(), home.path().canonicalize()) {
        (Ok(recorded), Ok(here)) => recorded == here,
        _ => path == home.path(),
    };
    (!is_here(&recorded)).then_some(recorded)
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
        assert_eq!(LocationRecord::read(&old), None);
        let location = Location::of(&old).unwrap();
        let record = LocationRecord { location: location.clone(), copied_at: None };
        record.write(&old).unwrap();
        assert_eq!((LocationRecord::read(&old), earlier_path(&old)), (Some(record), None));

        fs::rename(old.path(), new.path()).unwrap();
        assert_eq!(earlier_path(&new).as_deref(), Some(old.path()));
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
        assert_eq!(earlier_path(&new), None);
        fs::write(new.location(), "nonsense").unwrap();
        assert_eq!(LocationRecord::read(&new), None);
    }
}
