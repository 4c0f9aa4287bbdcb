//! Finds what is in the home and not in the database: runs, worktrees and relays that kugetsu made.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use kugetsu_api::home::Home;
use kugetsu_domain::ids::RunId;
use kugetsu_domain::naming;
use kugetsu_git::worktree::lock::is_held;
use kugetsu_store::error::StoreError;
use kugetsu_store::store::Store;
use thiserror::Error;

use super::kind::Kind;
use crate::runners::lock::is_alive;

/// Suffix of the file beside a relay that says that kugetsu made it.
pub(crate) const OWNED: &str = ".owned";

/// Something that the database does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unknown {
    pub(crate) kind: Kind,
    /// Its name in its directory of the home.
    pub(crate) name: String,
    /// A runner or a user is using it.
    pub(crate) in_use: bool,
}

#[derive(Debug, Error)]
pub(crate) enum FindError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("could not list {}: {error}", path.display())]
    Io { path: PathBuf, error: io::Error },
}

/// Returns everything that the database does not know.
///
/// Worktrees without a relay are not kugetsu's: the shell script made them, or the user did. As long as files of the script
/// are left, `kugetsu init` may be about to adopt even the others.
pub(crate) async fn find(home: &Home, store: &Store) -> Result<Vec<Unknown>, FindError> {
    let names = [home.runs(), home.worktrees(), home.relays()];
    let [runs, worktrees, relays] = names.map(|path| list(&path).map_err(|error| FindError::Io { path, error }));
    let runs: Vec<RunId> = runs?.iter().filter_map(|name| name.parse().ok()).collect();
    let mut unknown = Vec::new();
    for run in store.unknown_runs(runs).await? {
        let in_use = is_alive(&home.run(run));
        unknown.push(Unknown { kind: Kind::Run, name: run.to_string(), in_use });
    }
    if ["index.json", "sessions"].iter().any(|name| home.path().join(name).exists()) {
        return Ok(unknown);
    }
    let mut known = BTreeSet::new();
    for (reference, directory) in store.directories().await? {
        // A run may have made it, and died before the database knew.
        known.insert(naming::worktree_directory(&reference));
        known.extend(directory);
    }
    let (worktrees, relays) = (worktrees?, relays?);
    // Each relay with whether it is more than its record.
    let mut made: BTreeMap<&str, bool> = BTreeMap::new();
    for name in &relays {
        match name.strip_suffix(OWNED) {
            Some(name) => drop(made.entry(name).or_insert(false)),
            // Locks of git are files.
            None if home.relays().join(name).is_dir() => drop(made.insert(name, true)),
            None => {}
        }
    }
    for (name, has_relay) in made {
        if known.contains(name) {
            continue;
        }
        let (directory, _) = home.files(name);
        // If that cannot be found out, it is assumed.
        let in_use = is_held(&directory).unwrap_or(true);
        let has_worktree = worktrees.iter().any(|worktree| worktree == name);
        if has_worktree {
            unknown.push(Unknown { kind: Kind::Worktree, name: name.to_owned(), in_use });
        }
        if has_relay || has_worktree {
            unknown.push(Unknown { kind: Kind::Relay, name: name.to_owned(), in_use });
        }
    }
    Ok(unknown)
}

/// Returns the names in a directory, which may be missing, without hidden ones.
pub(crate) fn list(directory: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        // Other names are not kugetsu's.
        names.extend(entry?.file_name().into_string().ok().filter(|name| !name.starts_with('.')));
    }
    names.sort();
    Ok(names)
}
