//! Whether the files at the database's path are still those that are open.
//!
//! A file that is deleted, replaced or overwritten under a running daemon still takes writes: SQLite writes into a file that
//! no other process will ever see. Every write and every read therefore compares the path with the open files first.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::error::StoreError;

/// Device and inode.
type Node = (u64, u64);
/// Length in bytes, and the time of the last change in seconds and nanoseconds.
type Stamp = (u64, i64, i64);

/// The files of an open database.
#[derive(Debug)]
pub(super) struct FileIdentity {
    path: PathBuf,
    log_path: PathBuf,
    database: Node,
    /// The write-ahead log. None if the file system had none when the database was opened.
    log: Option<Node>,
    /// The database file after this process's last write, which is the only one that may change it.
    stamp: Mutex<Stamp>,
    /// Where the contents of a lost file were saved.
    saved: Mutex<Option<PathBuf>>,
}

impl FileIdentity {
    /// Remembers the files at `path`, which were just opened and read, so that the log exists.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let database = fs::metadata(path)?;
        let mut log_path = path.as_os_str().to_owned();
        log_path.push("-wal");
        let log_path = PathBuf::from(log_path);
        let log = match fs::metadata(&log_path) {
            Ok(log) => Some(node(&log)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let (node, stamp) = (node(&database), Mutex::new(stamp(&database)));
        Ok(Self { path: path.to_owned(), log_path, database: node, log, stamp, saved: Mutex::default() })
    }

    /// Fails unless the open files are those at the path.
    ///
    /// # Errors
    /// [`StoreError::Lost`], or [`StoreError::Database`] if the path cannot be looked up.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        self.file(&self.path, self.database)?;
        match self.log {
            Some(log) => self.file(&self.log_path, log).map(drop),
            None => Ok(()),
        }
    }

    /// As [`check`](Self::check), and fails if another program has written into the file. Only the writer knows that.
    pub(super) fn check_contents(&self) -> Result<(), StoreError> {
        self.check()?;
        let found = fs::metadata(&self.path).map_err(|error| self.unknown(&self.path, &error))?;
        match stamp(&found) == *self.stamp.lock().unwrap_or_else(PoisonError::into_inner) {
            true => Ok(()),
            false => Err(self.lost(&self.path, "overwritten")),
        }
    }

    /// Remembers the file after this process's own write.
    pub(super) fn written(&self) {
        if let Ok(found) = fs::metadata(&self.path)
            && node(&found) == self.database
        {
            *self.stamp.lock().unwrap_or_else(PoisonError::into_inner) = stamp(&found);
        }
    }

    /// Returns the length of the log in bytes.
    pub(super) fn log_length(&self) -> u64 {
        fs::metadata(&self.log_path).map_or(0, |log| log.len())
    }

    /// Returns where the contents of a lost file are to be saved, once.
    pub(super) fn start_saving(&self, now: i64) -> Option<PathBuf> {
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.path.with_file_name(format!("saved-{now}.db"));
        saved.is_none().then(|| saved.insert(path).clone())
    }

    fn file(&self, path: &Path, expected: Node) -> Result<(), StoreError> {
        match fs::metadata(path) {
            Ok(found) if node(&found) == expected => Ok(()),
            Ok(_) => Err(self.lost(path, "replaced")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(self.lost(path, "deleted")),
            Err(error) => Err(self.unknown(path, &error)),
        }
    }

    fn lost(&self, path: &Path, how: &'static str) -> StoreError {
        let saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner).clone();
        StoreError::Lost { path: path.to_owned(), how, saved: saved.filter(|saved| saved.exists()) }
    }

    fn unknown(&self, path: &Path, error: &io::Error) -> StoreError {
        StoreError::Database(format!("could not check the database {}: {error}", path.display()))
    }
}

fn node(file: &fs::Metadata) -> Node {
    (file.dev(), file.ino())
}

fn stamp(file: &fs::Metadata) -> Stamp {
    (file.len(), file.mtime(), file.mtime_nsec())
}
