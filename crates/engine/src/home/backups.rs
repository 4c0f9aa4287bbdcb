//! Copies of the database in `backup/`, made once a day.

use std::cmp::Reverse;
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
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use thiserror::Error;

use super::unknown::list;

const PREFIX: &str = "kugetsu-";
const SUFFIX: &str = ".db";
/// Begins the end of the name of an unfinished backup; the PID of its process follows.
const PART: &str = ".db.part-";
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

/// Returns the backups in the home, the newest first. Those that are dated after `now` come last: they were made while the clock
/// ran ahead, and the ones before them since.
pub fn backups(home: &Home, now: Timestamp) -> io::Result<Vec<Backup>> {
    let backup = |name: String| {
        let time = DateTime::strptime(TIME, name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?).ok()?;
        Some(Backup { path: home.backup().join(&name), at: time.to_zoned(TimeZone::UTC).ok()?.timestamp() })
    };
    let mut backups: Vec<Backup> = list(&home.backup())?.into_iter().filter_map(backup).collect();
    backups.sort_by_key(|backup| (backup.at > now, Reverse(backup.at)));
    Ok(backups)
}

/// Creates the directory of the backups.
pub fn create_directory(home: &Home) -> io::Result<()> {
    // Not recursively: a home that was moved must not appear again at its old path.
    match fs::DirBuilder::new().mode(0o700).create(home.backup()) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Removes the unfinished backups of processes that were killed.
fn remove_abandoned(home: &Home) -> io::Result<()> {
    for name in list(&home.backup())? {
        let Some((_, pid)) = name.split_once(PART).filter(|_| name.starts_with(PREFIX)) else { continue };
        // SQLite's own file beside it, too.
        let Ok(pid) = pid.strip_suffix("-journal").unwrap_or(pid).parse::<i32>() else { continue };
        let is_own = pid == std::process::id().cast_signed();
        if pid > 0 && !is_own && kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH) {
            fs::remove_file(home.backup().join(name))?;
        }
    }
    Ok(())
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
    remove_abandoned(home).map_err(failed)?;
    let newest = backups(home, now).map_err(failed)?.into_iter().next();
    if keep == 0 || newest.is_some_and(|newest| is_recent(newest.at, now)) || store.repos().await?.is_empty() {
        return Ok(None);
    }
    create_directory(home).map_err(failed)?;
    let path = path_at(home, now);
    store.back_up(path.clone()).await?;
    let others = backups(home, now).map_err(failed)?.into_iter().filter(|backup| backup.path != path);
    for old in others.skip(keep - 1) {
        fs::remove_file(&old.path).map_err(|error| BackupError::Io { path: old.path, error })?;
    }
    Ok(Some(path))
}

fn is_recent(at: Timestamp, now: Timestamp) -> bool {
    let age = now.duration_since(at);
    age >= SignedDuration::ZERO && age < SignedDuration::try_from(INTERVAL).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backups_from_the_future_are_the_oldest() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path().to_owned());
        create_directory(&home).unwrap();
        let now: Timestamp = "2026-11-29T03:00:00Z".parse().unwrap();
        let hours = |hours: i64| now + SignedDuration::from_hours(hours);
        for at in [hours(9000), hours(-30), hours(24), hours(-2)] {
            fs::write(path_at(&home, at), "").unwrap();
        }
        let found: Vec<Timestamp> = backups(&home, now).unwrap().into_iter().map(|backup| backup.at).collect();
        assert_eq!(found, [hours(-2), hours(-30), hours(9000), hours(24)]);
        assert!(is_recent(found[0], now), "the ones from the future do not make another one due each hour");
        assert!(!is_recent(found[2], now) && !is_recent(found[1], now));
    }

    #[test]
    fn unfinished_backups_of_killed_processes_are_removed() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path().to_owned());
        create_directory(&home).unwrap();
        let mut ended = std::process::Command::new("true").spawn().unwrap();
        ended.wait().unwrap();
        let [left, alive] = [ended.id(), nix::unistd::getppid().as_raw().cast_unsigned()]
            .map(|pid| format!("kugetsu-20261129T032334Z.db.part-{pid}"));
        let kept = [alive, "kugetsu-20261129T032334Z.db".to_owned(), "notes.db.part-1x".to_owned()];
        let journal = format!("{left}-journal");
        for name in kept.iter().chain([&left, &journal]) {
            fs::write(home.backup().join(name), "").unwrap();
        }
        remove_abandoned(&home).unwrap();
        for name in &kept {
            assert!(home.backup().join(name).exists(), "{name}");
        }
        assert!(!home.backup().join(left).exists() && !home.backup().join(journal).exists());
    }
}
