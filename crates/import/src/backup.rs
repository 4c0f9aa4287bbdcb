//! Keeps the files of the script: one private directory per import.

use std::fmt::Display;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use kugetsu_api::home::Home;

use crate::apply::ImportError;

/// Files that stay in use, of which the backup contains copies. Env files are not copied: they contain secrets.
const COPIED: [&str; 2] = ["config", "repos.json"];

/// The backup of one import. Its directory is created when the first file is kept.
#[derive(Debug)]
pub(crate) struct Backup {
    home: PathBuf,
    directory: PathBuf,
    name: String,
}

impl Backup {
    /// A new backup, named after the current time.
    pub(crate) fn new(home: &Home) -> Self {
        let name = format!("script-{}", Timestamp::now().strftime("%Y%m%dT%H%M%SZ"));
        let is_free = |name: &String| !home.backup().join(name).exists();
        let mut names = std::iter::once(name.clone()).chain((2u32..).map(|number| format!("{name}-{number}")));
        let name = names.find(is_free).unwrap_or(name);
        Self { home: home.path().to_owned(), directory: home.backup().join(&name), name }
    }

    /// Its name in the directory of backups.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its directory, if it has been created.
    pub(crate) fn path(&self) -> Option<String> {
        self.directory.is_dir().then(|| self.directory.display().to_string())
    }

    /// Copies the files that stay in use.
    pub(crate) fn copy(&self) -> Result<(), ImportError> {
        create(&self.directory)?;
        // The daemon may have created it, for git directories.
        let private = fs::Permissions::from_mode(0o700);
        fs::set_permissions(&self.directory, private).map_err(|error| not_kept(&self.directory, &error))?;
        for name in COPIED {
            let (from, to) = (self.home.join(name), self.directory.join(name));
            if from.is_file() && !to.exists() {
                fs::copy(&from, &to).map_err(|error| not_kept(&from, &error))?;
            }
        }
        Ok(())
    }

    /// Moves a file of the home into the backup, at the same relative path.
    pub(crate) fn keep(&self, path: &Path) -> Result<(), ImportError> {
        let below = path.strip_prefix(&self.home).map_err(|_| not_kept(path, &"it is not in the home"))?;
        self.move_file(path, &self.directory.join(below))
    }

    /// Moves an unreadable file into the directory `broken` of the backup.
    pub(crate) fn set_aside(&self, path: &Path) -> Result<(), ImportError> {
        let name = path.file_name().ok_or_else(|| not_kept(path, &"it has no name"))?;
        self.move_file(path, &self.directory.join("broken").join(name))
    }

    fn move_file(&self, path: &Path, to: &Path) -> Result<(), ImportError> {
        create(to.parent().unwrap_or(&self.directory))?;
        let numbered = |number: u32| {
            let mut name = to.file_name().unwrap_or_default().to_owned();
            name.push(format!("-{number}"));
            to.with_file_name(name)
        };
        let mut candidates = std::iter::once(to.to_owned()).chain((2..).map(numbered));
        let free = candidates.find(|path| path.symlink_metadata().is_err()).unwrap_or_else(|| to.to_owned());
        fs::rename(path, free).map_err(|error| not_kept(path, &error))
    }
}

fn create(directory: &Path) -> Result<(), ImportError> {
    let created = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
    created.map_err(|error| not_kept(directory, &error))
}

fn not_kept(path: &Path, error: &dyn Display) -> ImportError {
    ImportError::NotKept { path: path.to_owned(), why: error.to_string() }
}
