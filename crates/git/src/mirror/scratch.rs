//! Things that a mirror has for the time of one operation: directories, and refs that hold commits until another ref
//! names them. A killed process leaves them behind; the next operation removes them.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use crate::command::runner::GitError;
use crate::command::stale_locks;
use crate::files::access::{FileError, IoContext};
use crate::files::removal::remove_tree;
use crate::mirror::repo::{Mirror, MirrorError};

/// The refs that exist for the time of one operation: `refs/kugetsu/outgoing/<scratch directory>/<number>`.
const TEMPORARY: &str = "refs/kugetsu/outgoing/";

/// A temporary directory in a mirror, on the file system of its objects. It is removed when it is dropped, and locked until
/// then, so that a directory without a lock is one whose process was killed.
#[derive(Debug)]
pub(crate) struct Scratch {
    dir: tempfile::TempDir,
    _lock: File,
}

impl Scratch {
    fn create(mirror: &Path) -> Result<Self, FileError> {
        let parent = mirror.join("scratch");
        // Not recursively: a home that was moved must not appear again at its old path.
        match std::fs::create_dir(&parent) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(error).context("create", &parent);
            }
            _ => {}
        }
        loop {
            let dir =
                tempfile::Builder::new().prefix("s").tempdir_in(&parent).context("create a directory in", &parent)?;
            let opened = File::open(dir.path());
            let lock = match opened.and_then(|lock| lock.try_lock().map(|()| lock).map_err(Into::into)) {
                Ok(lock) => lock,
                // Another process is just removing it as a leftover.
                Err(_) if dir.path().symlink_metadata().is_err() => continue,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error).context("lock", dir.path()),
            };
            if dir.path().symlink_metadata().is_ok() {
                return Ok(Self { dir, _lock: lock });
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    fn name(&self) -> String {
        self.path().file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// Refs that keep commits in a mirror until [`remove`](Self::remove).
#[derive(Debug)]
pub(crate) struct TemporaryRefs {
    scratch: Scratch,
    names: Vec<String>,
}

impl TemporaryRefs {
    pub(crate) fn new(mirror: &Mirror) -> Result<Self, FileError> {
        Ok(Self { scratch: mirror.scratch_dir()?, names: Vec::new() })
    }

    /// An unused name.
    pub(crate) fn add(&mut self) -> String {
        let name = format!("{TEMPORARY}{}/{}", self.scratch.name(), self.names.len());
        self.names.push(name.clone());
        name
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    pub(crate) async fn remove(self, mirror: &Mirror) -> Result<(), GitError> {
        remove_refs(mirror, &self.names).await
    }
}

/// Removes refs. One that is missing is no error.
async fn remove_refs(mirror: &Mirror, names: &[String]) -> Result<(), GitError> {
    if names.is_empty() {
        return Ok(());
    }
    let lines: String = names.iter().map(|name| format!("delete {name}\n")).collect();
    let command = mirror.command("update-ref", "remove temporary refs").args(["--no-deref", "--stdin"]);
    command.stdin(lines).run().await.map(drop)
}

impl Mirror {
    pub(crate) fn scratch_dir(&self) -> Result<Scratch, FileError> {
        Scratch::create(self.dir())
    }

    /// Removes what killed processes left: temporary directories and refs, and lock files. What is in use stays.
    pub async fn remove_leftovers(&self) -> Result<(), MirrorError> {
        stale_locks::clear_now(self.dir(), self.dir()).await;
        let in_use = remove_unlocked(&self.dir().join("scratch")).await?;
        let refs = self.refs(&[TEMPORARY.trim_end_matches('/')]).await?;
        let names = refs.into_iter().filter_map(|(name, _)| String::from_utf8(name).ok());
        let is_left = |name: &String| {
            let rest = name.strip_prefix(TEMPORARY).unwrap_or_default();
            !in_use.contains(rest.split('/').next().unwrap_or_default())
        };
        Ok(remove_refs(self, &names.filter(is_left).collect::<Vec<_>>()).await?)
    }
}

/// Removes the temporary directories that no process has locked. Returns the names of the others.
async fn remove_unlocked(parent: &Path) -> Result<BTreeSet<String>, FileError> {
    let (mut in_use, mut left) = (BTreeSet::new(), Vec::new());
    let entries = match std::fs::read_dir(parent) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(in_use),
        Err(error) => return Err(error).context("read", parent),
    };
    for entry in entries {
        let entry = entry.context("read", parent)?;
        match File::open(entry.path()) {
            Ok(dir) if dir.try_lock().is_ok() => left.push((entry.path(), dir)),
            Ok(_) => {
                in_use.insert(entry.file_name().to_string_lossy().into_owned());
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).context("open", &entry.path()),
        }
    }
    for (path, _held) in left {
        remove_tree(&path).await?;
    }
    Ok(in_use)
}
