//! Opens the home when the daemon starts.
//!
//! The database may be missing, empty, an older copy, or that of another home. Files that it does not know are then work that
//! kugetsu did. They are moved into quarantine, so that no new issue uses them, and nothing is deleted.

use kugetsu_api::atomic_file::remove_leftovers;
use kugetsu_api::home::Home;
use kugetsu_api::home_id;
use kugetsu_store::error::StoreError;
use kugetsu_store::store::Store;
use thiserror::Error;
use uuid::Uuid;

use super::kind::Kind;
use super::quarantine::{self, Quarantined};
use super::unknown::{self, Unknown};
use super::used_numbers::references;
use crate::engine::Engine;

/// The namespace of rescues in a mirror.
const RESCUES: &str = "refs/kugetsu/rescue/";

/// Why the home cannot be used.
#[derive(Debug, Error)]
pub enum OpenHomeError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("could not use the home's identifier {}: {error}", home.id().display())]
    Identifier { home: Home, error: std::io::Error },
}

impl OpenHomeError {
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Store(error) => error.hint(),
            Self::Identifier { .. } => {
                Some("make it readable, or remove it: the daemon then writes that of the database")
            }
        }
    }
}

/// How the database relates to the home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    /// It is the home's own.
    Own,
    /// It is new, and the home was used before.
    New,
    /// It was that of another home.
    Foreign,
}

impl Relation {
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Own => "the database does not know it: it may be an older copy",
            Self::New => "the database is new, but the home was used before: the database was lost or emptied",
            Self::Foreign => "the database is that of another home",
        }
    }
}

/// Compares the home with its database, and moves what the database does not know into quarantine. Called before anything
/// else uses the home.
///
/// # Errors
/// The database or the identifier cannot be read. A file that cannot be moved is logged and left.
pub async fn open_home(engine: &Engine) -> Result<Vec<Quarantined>, OpenHomeError> {
    let (home, store) = (engine.home(), engine.store());
    if let Err(error) = remove_leftovers(home) {
        tracing::warn!(%error, "a temporary file of a killed process could not be removed");
    }
    let relation = identify(home, store).await?;
    if relation != Relation::Own {
        tracing::error!(
            database = %home.database().display(),
            "{}; earlier work is not lost: `kugetsu db restore` or `kugetsu db rebuild` brings it back",
            relation.reason()
        );
    }
    let unknown = match unknown::find(home, store).await {
        Ok(unknown) => unknown,
        // Any of the files may belong to the damaged row.
        Err(unknown::FindError::Store(error @ StoreError::Damaged { .. })) => {
            tracing::error!(%error, "files that the database does not know are left alone, because it has damaged rows");
            return Ok(vec![]);
        }
        Err(unknown::FindError::Store(error)) => return Err(error.into()),
        Err(error @ unknown::FindError::Io { .. }) => {
            tracing::error!(%error, "files that the database does not know are not looked for");
            return Ok(vec![]);
        }
    };
    report_in_use(&unknown);
    let moved = quarantine::add(home, &unknown, relation.reason(), engine.now());
    for quarantined in &moved {
        tracing::warn!(
            kind = quarantined.kind.name(), name = quarantined.name, path = %quarantined.path.display(),
            "moved into quarantine: {}", relation.reason()
        );
    }
    Ok(moved)
}

/// Describes where a database and the home differ. Changes nothing.
///
/// # Errors
/// The database cannot be read.
pub async fn compare(home: &Home, store: &Store) -> Result<Vec<String>, StoreError> {
    let mut differences = Vec::new();
    match (store.home().await?, home_id::read(home)) {
        (Some(stored), Ok(Some(file))) if stored != file.to_string() => {
            differences.push("the database is that of another home".to_owned());
        }
        (None, Ok(Some(_))) => differences.push("the database has no identifier, but the home has".to_owned()),
        (_, Err(error)) => differences.push(format!("could not read {}: {error}", home.id().display())),
        _ => {}
    }
    match unknown::find(home, store).await {
        Ok(unknown) => differences.extend(unknown.into_iter().map(|one| {
            let what_next = if one.in_use { "it is in use" } else { "the next daemon moves it into quarantine" };
            format!("the {} {} is not known to the database; {what_next}", one.kind.name(), one.name)
        })),
        Err(unknown::FindError::Store(StoreError::Damaged { .. })) => {
            differences.push("the home cannot be compared with damaged rows".to_owned());
            return Ok(differences);
        }
        Err(unknown::FindError::Store(error)) => return Err(error),
        Err(error @ unknown::FindError::Io { .. }) => differences.push(error.to_string()),
    }
    for (reference, directory) in store.directories().await? {
        let Some(directory) = directory else { continue };
        if home.files(&directory).0.symlink_metadata().is_err() {
            differences.push(format!("the worktree {directory} of {reference} is missing"));
        }
    }
    Ok(differences)
}

/// Work in the home that its database does not know, because it was lost or replaced: `kugetsu db rebuild` brings it back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LostWork {
    /// Number of worktrees in quarantine.
    pub worktrees: u64,
    /// Number of runs in quarantine.
    pub runs: u64,
    /// Number of rescues.
    pub rescues: u64,
}

impl LostWork {
    pub const fn is_nothing(&self) -> bool {
        self.worktrees + self.runs + self.rescues == 0
    }
}

/// Counts what is left of the work of a home whose database has no issues.
pub fn lost_work(home: &Home) -> std::io::Result<LostWork> {
    let quarantined = quarantine::list(home)?;
    let count = |kind: Kind| quarantined.iter().filter(|one| one.kind == kind).count() as u64;
    let mut rescues = 0;
    for name in unknown::list(&home.mirrors())? {
        let mirror = home.mirrors().join(name);
        if mirror.is_dir() {
            rescues += references(&mirror)?.iter().filter(|name| name.starts_with(RESCUES)).count() as u64;
        }
    }
    Ok(LostWork { worktrees: count(Kind::Worktree), runs: count(Kind::Run), rescues })
}

fn report_in_use(unknown: &[Unknown]) {
    for one in unknown.iter().filter(|one| one.in_use) {
        tracing::warn!(
            kind = one.kind.name(),
            name = one.name,
            "the database does not know it, but a process uses it, so it stays where it is"
        );
    }
}

async fn identify(home: &Home, store: &Store) -> Result<Relation, OpenHomeError> {
    let failed = |error| OpenHomeError::Identifier { home: home.clone(), error };
    let (stored, file) = (store.home().await?, home_id::read(home).map_err(failed)?);
    let stored = stored.and_then(|id| id.parse::<Uuid>().ok());
    match (stored, file) {
        (Some(stored), Some(file)) if stored == file => Ok(Relation::Own),
        // The database was restored into an empty home, or the file was deleted.
        (Some(stored), None) => home_id::write(home, stored).map(|()| Relation::Own).map_err(failed),
        (None, None) => {
            let id = Uuid::now_v7();
            home_id::write(home, id).map_err(failed)?;
            store.set_home(id.to_string()).await?;
            Ok(Relation::Own)
        }
        (stored, Some(file)) => {
            // A copy from before databases had an identifier has repositories.
            let is_new = stored.is_none() && store.repos().await?.is_empty();
            store.set_home(file.to_string()).await?;
            Ok(match stored {
                Some(_) => Relation::Foreign,
                None if is_new => Relation::New,
                None => Relation::Own,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn quarantine_and_rescues_are_counted() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path().to_owned());
        assert!(lost_work(&home).unwrap().is_nothing());
        for path in ["quarantine/20261129T000000Z/worktrees/a-1", "quarantine/20261129T000000Z/runs/r"] {
            fs::create_dir_all(home.path().join(path)).unwrap();
        }
        let rescue = home.mirrors().join("a/refs/kugetsu/rescue/1");
        fs::create_dir_all(&rescue).unwrap();
        fs::write(rescue.join("20261129T000000Z"), "").unwrap();
        fs::write(home.mirrors().join("a.lock"), "").unwrap();
        assert_eq!(lost_work(&home).unwrap(), LostWork { worktrees: 1, runs: 1, rescues: 1 });
    }
}
