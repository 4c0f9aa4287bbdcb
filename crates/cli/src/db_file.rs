//! Replaces the database file of a home, while no daemon runs. The file that was there is kept beside it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use kugetsu_api::home::Home;
use kugetsu_api::home_id;
use kugetsu_store::open::{self, Opened};
use kugetsu_store::store::Store;

use crate::daemon::lock::{self, Lock};
use crate::failure::Failure;

/// A new database that is not in use yet. It is removed when it is dropped.
#[derive(Debug)]
pub(crate) struct NewDb {
    home: Home,
    path: PathBuf,
    opened: Option<Opened>,
    /// Keeps daemons away.
    _lock: Lock,
}

/// Makes an empty database, or a copy of the file `from` in the schema of this program.
///
/// # Errors
/// A daemon runs, or the file is no intact database of kugetsu.
pub(crate) fn create(home: &Home, from: Option<&Path>) -> Result<NewDb, Failure> {
    let lock = lock_out_daemons(home)?;
    let path = home.database().with_file_name(format!("new-{}.db", std::process::id()));
    let mut new = NewDb { home: home.clone(), path, opened: None, _lock: lock };
    new.remove().map_err(|error| unwritable(&new.path, &error))?;
    if let Some(from) = from {
        copy(from, &new.path)?;
    }
    let opened = open::open(&new.path).map_err(|error| {
        // The message names the copy.
        let (copy, from) = (new.path.display().to_string(), from.unwrap_or(&new.path).display().to_string());
        Failure::new(error.to_string().replace(&copy, &from)).hints(error.hint())
    })?;
    new.opened = Some(opened);
    Ok(new)
}

/// Takes the lock of the daemon.
fn lock_out_daemons(home: &Home) -> Result<Lock, Failure> {
    home.create()?;
    let taken =
        lock::take(home).map_err(|error| Failure::new(format!("could not lock {}: {error}", home.lock().display())))?;
    taken.ok_or_else(|| {
        Failure::new("the database cannot be replaced while the daemon is running")
            .hint("stop it with `kugetsu daemon stop`, then try again; running agents are not affected")
    })
}

/// Copies a database with what is in its log, if one lies beside it.
fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    const HINT: &str = "name a copy, such as one that `kugetsu db check` counts in the directory `backup` of the home";
    let failed = |error: &io::Error| Failure::new(format!("could not copy {}: {error}", from.display())).hint(HINT);
    let regular = fs::metadata(from).map_err(|error| failed(&error))?;
    if !regular.is_file() {
        return Err(Failure::usage(format!("{} is not a regular file", from.display())).hint(HINT));
    }
    for suffix in ["", "-wal"] {
        let (from, to) = (beside(from, suffix), beside(to, suffix));
        match fs::copy(&from, &to) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound && !suffix.is_empty() => continue,
            Err(error) => return Err(failed(&error)),
        }
        fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).map_err(|error| unwritable(&to, &error))?;
    }
    Ok(())
}

/// The path of a file that SQLite keeps beside a database.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("could not write {}: {error}", path.display()))
}

impl NewDb {
    /// The store of the new database.
    pub(crate) fn store(&self) -> Result<&Store, Failure> {
        let opened = self.opened.as_ref().ok_or_else(|| Failure::new("the new database is closed"))?;
        Ok(&opened.store)
    }

    /// Makes it the database of the home. Returns where the file is that was there before.
    pub(crate) async fn put_in_use(mut self) -> Result<Option<PathBuf>, Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::new(format!("could not store the new database: {error}"));
        let id = match home_id::read(&self.home) {
            Ok(Some(id)) => id.to_string(),
            Ok(None) => String::new(),
            Err(error) => return Err(failed(&error)),
        };
        if !id.is_empty() {
            self.store()?.set_home(id).await.map_err(|error| failed(&error))?;
        }
        let Some(Opened { store, closed }) = self.opened.take() else { return Err(failed(&"it is closed")) };
        store.close().await.map_err(|error| failed(&error))?;
        closed.await.map_err(|error| failed(&error))?;
        if beside(&self.path, "-wal").exists() {
            return Err(failed(&"its log could not be merged into it"));
        }
        let kept = self.keep_old().await?;
        let database = self.home.database();
        fs::rename(&self.path, &database).map_err(|error| unwritable(&database, &error))?;
        let synced = database.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all());
        synced.map_err(|error| unwritable(&database, &error))?;
        Ok(kept)
    }

    /// Keeps the file that is replaced under another name. Its log goes with it: SQLite would apply it to the new file.
    async fn keep_old(&self) -> Result<Option<PathBuf>, Failure> {
        let database = self.home.database();
        if fs::metadata(&database).is_ok_and(|old| old.is_file() && old.len() > 0) {
            // Merges the log, if the file can be used at all.
            if let Ok(Opened { store, closed }) = open::open(&database) {
                drop(store);
                // One that cannot be merged keeps its log.
                let _ = closed.await;
            }
        }
        let name = format!("replaced-{}.db", Timestamp::now().as_millisecond());
        let kept = database.with_file_name(name);
        let log = beside(&database, "-wal");
        let missing_is_fine = |result: io::Result<()>| match result {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unwritable(&kept, &error)),
            _ => Ok(()),
        };
        // The log first: the file at the path is always complete. A reader leaves an empty one.
        missing_is_fine(match fs::metadata(&log) {
            Ok(metadata) if metadata.len() == 0 => fs::remove_file(&log),
            _ => fs::rename(&log, beside(&kept, "-wal")),
        })?;
        // An index of the log, which is made again.
        missing_is_fine(fs::remove_file(beside(&database, "-shm")))?;
        match fs::hard_link(&database, &kept) {
            Ok(()) => Ok(Some(kept)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            // A file system without hard links, or a directory.
            Err(_) => match fs::rename(&database, &kept) {
                Ok(()) => Ok(Some(kept)),
                Err(error) => Err(unwritable(&kept, &error)),
            },
        }
    }

    fn remove(&self) -> io::Result<()> {
        for suffix in ["", "-wal", "-shm"] {
            match fs::remove_file(beside(&self.path, suffix)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

impl Drop for NewDb {
    fn drop(&mut self) {
        // It is in use under its final name, or useless; the next one removes what this cannot.
        let _ = self.remove();
    }
}
