//! Keeps what the script wrote: a directory of one takeover, private to its owner.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use kugetsu_api::home::Home;

use crate::failure::Failure;

/// Files that stay in use where they are; of env files there is no copy, since they hold secrets.
const COPIED: [&str; 2] = ["config", "repos.json"];

/// The backup of one takeover; its directory is made when something is kept.
#[derive(Debug)]
pub(super) struct Backup {
    home: PathBuf,
    place: PathBuf,
    name: String,
}

impl Backup {
    /// A backup of its own, by the time.
    pub(super) fn new(home: &Home) -> Self {
        let name = format!("script-{}", Timestamp::now().strftime("%Y%m%dT%H%M%SZ"));
        let free = |name: &String| !home.backup().join(name).exists();
        let mut names = std::iter::once(name.clone()).chain((2u32..).map(|number| format!("{name}-{number}")));
        let name = names.find(free).unwrap_or(name);
        Self { home: home.path().to_owned(), place: home.backup().join(&name), name }
    }

    /// Its name below the home's backups.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where it is, if something is kept.
    pub(super) fn made(&self) -> Option<String> {
        self.place.is_dir().then(|| self.place.display().to_string())
    }

    /// Copies the files that stay in use.
    pub(super) fn copy(&self) -> Result<(), Failure> {
        self.make(&self.place)?;
        // The daemon may have made it, for git directories.
        let private = fs::Permissions::from_mode(0o700);
        fs::set_permissions(&self.place, private).map_err(|error| unkept(&self.place, &error))?;
        for name in COPIED {
            let (from, to) = (self.home.join(name), self.place.join(name));
            if from.is_file() && !to.exists() {
                fs::copy(&from, &to).map_err(|error| unkept(&from, &error))?;
            }
        }
        Ok(())
    }

    /// Moves a file of the home's to the same place here.
    pub(super) fn keep(&self, path: &Path) -> Result<(), Failure> {
        let below = path.strip_prefix(&self.home).map_err(|_| unkept(path, &"it is not in the home"))?;
        self.put(path, &self.place.join(below))
    }

    /// Moves a file here that cannot be read.
    pub(super) fn set_aside(&self, path: &Path) -> Result<(), Failure> {
        let name = path.file_name().ok_or_else(|| unkept(path, &"it has no name"))?;
        self.put(path, &self.place.join("broken").join(name))
    }

    fn put(&self, path: &Path, to: &Path) -> Result<(), Failure> {
        self.make(to.parent().unwrap_or(&self.place))?;
        let beside = |number: u32| {
            let mut name = to.file_name().unwrap_or_default().to_owned();
            name.push(format!("-{number}"));
            to.with_file_name(name)
        };
        let mut places = std::iter::once(to.to_owned()).chain((2..).map(beside));
        let free = places.find(|place| place.symlink_metadata().is_err()).unwrap_or_else(|| to.to_owned());
        fs::rename(path, free).map_err(|error| unkept(path, &error))
    }

    fn make(&self, directory: &Path) -> Result<(), Failure> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(|error: io::Error| unkept(directory, &error))
    }
}

fn unkept(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(format!("{} could not be kept in the backup: {error}", path.display()))
        .hint("when that is settled, `kugetsu init` goes on where it stopped")
}
