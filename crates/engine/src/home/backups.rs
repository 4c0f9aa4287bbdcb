//! Copies of the database in `backup/`, made once a day.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use kugetsu_api::home::Home;
use kugetsu_store::error::StoreError;
use kugetsu_store::store::Store;
use thiserror::Error;

use super::unknown::list;

const PREFIX: &str = "kugetsu-";
const SUFFIX: &str = ".db";
const TIME: &str = "%Y%m%dT%H%M%SZ";
/// Age of the newest backup at which another one is made.
const INTERVAL: Duration = Duration::from_hours(24);

/// A backup in the home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    pub path: PathBuf,
    pub at: Timestamp,
}

#[derive(Debug, Error)]
pub enum BackupError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{}: {error}", path.display())]
    Io { path: PathBuf, error: io::Error },
}

/// Returns the path of a backup that is made at a time.
pub fn path_at(home: &Home, at: Timestamp) -> PathBuf {
    home.backup().join(format!("{PREFIX}{}{SUFFIX}", at.strftime(TIME)))
}

/// Returns the backups in the home, the newest first.
pub fn backups(home: &Home) -> io::Result<Vec<Backup>> {
    let backup = |name: String| {
        let time = DateTime::strptime(TIME, name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?).ok()?;
        Some(Backup { path: home.backup().join(&name), at: time.to_zoned(TimeZone::UTC).ok()?.timestamp() })
    };
    let mut backups: Vec<Backup> = list(&home.backup())?.into_iter().filter_map(backup).collect();
    backups.sort_by_key(|backup| std::cmp::Reverse(backup.at));
    Ok(backups)
}

/// Creates the directory of the backups.
pub fn create_directory(home: &Home) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(home.backup())
}

/// Makes a backup if the newest one is a day old, then removes all but the newest `keep`. Returns the path of a new one. Makes
/// none while nothing is stored, and none if `keep` is 0.
pub(crate) async fn make_daily(
    home: &Home,
    store: &Store,
    keep: usize,
    now: Timestamp,
) -> Result<Option<PathBuf>, BackupError> {
    let failed = |error| BackupError::Io { path: home.backup(), error };
    let newest = backups(home).map_err(failed)?.into_iter().next();
    // One from the future was made before the clock was set back.
    let is_recent = |at: Timestamp| {
        let age = now.duration_since(at);
        age >= SignedDuration::ZERO && age < SignedDuration::try_from(INTERVAL).unwrap_or(SignedDuration::MAX)
    };
    if keep == 0 || newest.is_some_and(|newest| is_recent(newest.at)) || store.repos().await?.is_empty() {
        return Ok(None);
    }
    create_directory(home).map_err(failed)?;
    let path = path_at(home, now);
    store.back_up(path.clone()).await?;
    for old in backups(home).map_err(failed)?.into_iter().filter(|backup| backup.path != path).skip(keep - 1) {
        fs::remove_file(&old.path).map_err(|error| BackupError::Io { path: old.path, error })?;
    }
    Ok(Some(path))
}
