//! Finds the content that LFS pointers stand for, wherever an agent's git-lfs put it: in the usual store, in the one that the
//! user's `lfs.storage` names, or in any file of the directories that the agent worked in. What an agent's own settings and
//! links name is not followed; a file counts if its content has the hash.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::command::runner::{ConfigScope, Git, GitError};
use crate::files::access::{FileError, IoContext, blocking, canonical_if_there};
use crate::lfs::objects::{Pointer, keep_at, keep_object, object_path, stored_in};
use crate::printable::printable;

/// Maximum directory depth, and number of directories searched.
const DEPTH_MAX: usize = 64;
const DIRECTORIES_MAX: usize = 1_000_000;

/// The user's `lfs.storage`: a directory that all repositories share or, if it is relative, one in each git directory.
pub(crate) async fn users_storage(git: &Git) -> Result<Option<PathBuf>, GitError> {
    let value = git.config_value("lfs.storage", ConfigScope::User).await?.unwrap_or_default();
    Ok(Some(PathBuf::from(OsStr::from_bytes(&value))).filter(|path| !path.as_os_str().is_empty()))
}

/// Whether a git directory has the content of a pointer.
pub(crate) fn has_content(git_dir: &Path, pointer: &Pointer) -> bool {
    object_path(git_dir, pointer.name()).is_some_and(|path| path.exists())
}

/// The content of pointers that was looked for and not found.
#[derive(Debug, Default)]
pub(crate) struct Absent {
    pub(crate) pointers: Vec<Pointer>,
    /// Directories and files that could not be searched, with the reason, escaped.
    pub(crate) unreadable: Vec<String>,
}

/// Copies the content of `pointers` into the git directory `to`, as far as that has none: from the store `shared`, and from the
/// files below `dirs`, which are searched by size and hash without following links.
pub(crate) async fn find_content(
    pointers: Vec<Pointer>,
    shared: Option<PathBuf>,
    dirs: Vec<PathBuf>,
    to: &Path,
) -> Result<Absent, FileError> {
    let to = to.to_owned();
    blocking(&to.clone(), move || {
        let mut search = Search { to, by_size: BTreeMap::new(), directories: 0, unreadable: Vec::new() };
        for pointer in pointers.into_iter().filter(|pointer| !has_content(&search.to, pointer)) {
            let stored = shared.as_ref().and_then(|store| stored_in(store, pointer.name()));
            // A link there is the user's.
            let found = match stored.and_then(|file| canonical_if_there(&file).transpose()) {
                Some(file) => keep_object(&file?, &search.to, pointer.name())?,
                None => false,
            };
            if !found {
                search.by_size.entry(pointer.size()).or_default().push(pointer);
            }
        }
        for dir in dirs {
            if let Some(dir) = canonical_if_there(&dir)? {
                search.below(&dir)?;
            }
        }
        let pointers: Vec<Pointer> = search.by_size.into_values().flatten().collect();
        let unreadable = if pointers.is_empty() { Vec::new() } else { search.unreadable };
        Ok(Absent { pointers, unreadable })
    })
    .await
}

/// Copies objects of the git directory `from` into a store that repositories share, as far as it lacks them.
pub(crate) async fn share_content(from: &Path, store: &Path, pointers: Vec<Pointer>) -> Result<(), FileError> {
    let (from, store) = (from.to_owned(), store.to_owned());
    blocking(&store.clone(), move || {
        for pointer in pointers {
            let paths = (object_path(&from, pointer.name()), stored_in(&store, pointer.name()));
            if let (Some(file), Some(target)) = paths
                && !target.exists()
            {
                keep_at(&file, &target, pointer.name())?;
            }
        }
        Ok(())
    })
    .await
}

struct Search {
    /// The git directory that the content is copied into.
    to: PathBuf,
    /// The pointers that are looked for, by the size of their content. No list is empty.
    by_size: BTreeMap<u64, Vec<Pointer>>,
    directories: usize,
    unreadable: Vec<String>,
}

impl Search {
    fn below(&mut self, dir: &Path) -> Result<(), FileError> {
        let mut left = vec![(dir.to_owned(), 0)];
        while let Some((dir, depth)) = left.pop() {
            if self.by_size.is_empty() {
                return Ok(());
            }
            self.directories += 1;
            if depth > DEPTH_MAX || self.directories > DIRECTORIES_MAX {
                self.unreadable.push(format!("files in {} (too many directories)", shown(&dir)));
                return Ok(());
            }
            let entries = match std::fs::read_dir(&dir) {
                Ok(entries) => entries,
                Err(error) => {
                    self.unreadable.push(format!("files in {} ({error})", shown(&dir)));
                    continue;
                }
            };
            for entry in entries {
                let entry = entry.context("read", &dir)?;
                match entry.file_type() {
                    Ok(file_type) if file_type.is_dir() => left.push((entry.path(), depth + 1)),
                    Ok(file_type) if file_type.is_file() => self.look_at(&entry)?,
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn look_at(&mut self, entry: &std::fs::DirEntry) -> Result<(), FileError> {
        let Ok(meta) = entry.metadata() else { return Ok(()) };
        let Some(wanted) = self.by_size.get_mut(&meta.len()) else { return Ok(()) };
        let path = entry.path();
        match Pointer::of(&path) {
            Ok(Some(pointer)) => {
                if wanted.contains(&pointer) && keep_object(&path, &self.to, pointer.name())? {
                    wanted.retain(|other| *other != pointer);
                }
            }
            Ok(None) => {}
            Err(error) => self.unreadable.push(format!("{} ({error})", shown(&path))),
        }
        if wanted.is_empty() {
            self.by_size.remove(&meta.len());
        }
        Ok(())
    }
}

fn shown(path: &Path) -> String {
    printable(path.as_os_str().as_bytes())
}
