//! The daemon's settings as they change. A mistake in them never stops it: what held before goes on to hold.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kugetsu_api::home::Home;
use kugetsu_engine::Settings;
use kugetsu_engine::settings::EnvFiles;
use kugetsu_web::Faults;
use tokio::sync::{mpsc, oneshot, watch};

use crate::config::error::ConfigError;
use crate::config::load::{Loaded, in_force, keep_good, own_environment};
use crate::env_files;

use super::log::Masks;

/// Somebody wants the settings read again, and how it went.
pub(crate) type Reload = oneshot::Sender<Result<(), String>>;

/// The files of the settings as they were when they were last read.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    home: Home,
    read: Arc<Mutex<Vec<Option<Stamp>>>>,
}

/// What changes when a file does: its number, its length and its time.
type Stamp = (u64, u64, i64, i64);

impl Files {
    /// As they are now.
    pub(crate) fn new(home: &Home) -> Self {
        Self { home: home.clone(), read: Arc::new(Mutex::new(stamps(home))) }
    }

    /// Whether one of them is another one than when they were last read.
    pub(crate) fn are_stale(&self) -> bool {
        *self.read() != stamps(&self.home)
    }

    /// They were read as they were `before` the reading, and what they say is in force. What changed meanwhile is a change;
    /// and as long as they are being read they are stale, so that whoever wants to know waits for the end of it.
    fn are_read(&self, before: Vec<Option<Stamp>>) {
        *self.read() = before;
    }

    fn read(&self) -> MutexGuard<'_, Vec<Option<Stamp>>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stamps(home: &Home) -> Vec<Option<Stamp>> {
    // An agent's own env file is read by its runner.
    let files =
        [home.config(), home.old_config(), home.repositories(), home.env().join(format!("{}.env", env_files::DEFAULT))];
    let stamp = |path: &PathBuf| {
        let found = fs::metadata(path).ok()?;
        Some((found.ino(), found.size(), found.mtime(), found.mtime_nsec()))
    };
    files.iter().map(stamp).collect()
}

/// Reads the settings for the first time, and what is wrong with them.
///
/// # Errors
/// There is a mistake, and no good settings from before to fall back to.
pub(crate) fn first(home: &Home, masks: &Masks) -> Result<(Settings, Faults), ConfigError> {
    let loaded = in_force(home, &own_environment)?;
    Ok(taken(home, loaded, masks))
}

/// Reads the env files of an agent for the engine. Mistakes in them are logged, and stop nothing.
pub(crate) fn env_files(home: &Home) -> EnvFiles {
    let home = home.clone();
    EnvFiles::new(move |agent, is_coordinator| {
        let mut own = vec![agent];
        if is_coordinator {
            own.push(env_files::PM_AGENT);
        }
        let read = env_files::reaching(&home, &own).map_err(|failure| failure.message)?;
        for fault in read.faults {
            tracing::warn!("{fault}");
        }
        Ok(read.variables)
    })
}

/// The two channels that tell of the settings in force.
#[derive(Debug)]
pub(crate) struct InForce {
    pub(crate) settings: watch::Sender<Arc<Settings>>,
    pub(crate) faults: watch::Sender<Faults>,
}

/// Reads them again whenever a file changed or somebody asks, for as long as anybody can ask.
pub(crate) async fn keep(
    home: Home,
    files: Files,
    masks: Masks,
    told: InForce,
    mut changed: mpsc::Receiver<()>,
    mut asked: mpsc::Receiver<Reload>,
) {
    loop {
        let reply = tokio::select! {
            Some(()) = changed.recv() => None,
            Some(reply) = asked.recv() => Some(reply),
            else => return,
        };
        let before = stamps(&home);
        let answer = match in_force(&home, &own_environment) {
            Ok(loaded) => {
                let (settings, faults) = taken(&home, loaded, &masks);
                told.settings.send_replace(Arc::new(settings));
                told.faults.send_replace(faults);
                tracing::info!("the settings were read again");
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, "the settings cannot be used; those from before go on to hold");
                told.faults.send_modify(|faults| faults.error = Some(error.to_string()));
                Err(error.to_string())
            }
        };
        files.are_read(before);
        if let Some(reply) = reply {
            // Whoever asked may have gone away.
            let _ = reply.send(answer);
        }
    }
}

fn taken(home: &Home, loaded: Loaded, masks: &Masks) -> (Settings, Faults) {
    masks.set(&loaded.settings.variables);
    if let Err(error) = keep_good(home, &loaded.refused) {
        tracing::warn!(%error, "the settings could not be kept for the time when there is a mistake in them");
    }
    for fault in &loaded.faults {
        tracing::warn!("{fault}");
    }
    let mistakes: Vec<String> = loaded.refused.iter().map(|one| one.error.to_string()).collect();
    for mistake in &mistakes {
        tracing::error!("{mistake}; what was set before goes on to hold");
    }
    let error = (!mistakes.is_empty()).then(|| mistakes.join("; "));
    (loaded.settings, Faults { error, warnings: loaded.faults })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_stale_until_what_was_read_is_in_force() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path().join("kugetsu"));
        home.create().unwrap();
        fs::write(home.config(), "").unwrap();
        let files = Files::new(&home);
        assert!(!files.are_stale());
        fs::write(home.config(), "[agents]\nmax = 5\n").unwrap();
        let before = stamps(&home);
        assert!(files.are_stale(), "being read is not yet in force");
        fs::write(home.config(), "[agents]\nmax = 5000\n").unwrap();
        files.are_read(before);
        assert!(files.are_stale(), "it changed while it was read");
        files.are_read(stamps(&home));
        assert!(!files.are_stale());
    }
}
