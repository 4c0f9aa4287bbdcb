//! Reloads the settings while the daemon runs. Invalid settings never stop it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kugetsu_api::home::Home;
use kugetsu_engine::Settings;
use kugetsu_engine::settings::EnvFiles;
use kugetsu_web::SettingsDiagnostics;
use tokio::sync::{mpsc, oneshot, watch};

use crate::config::layer::ConfigError;
use crate::config::load::{Loaded, load, own_environment};
use crate::env_files;

use super::log::Masks;

/// A request to reload the settings; receives the result.
pub(crate) type Reload = oneshot::Sender<Result<(), String>>;

/// The settings files as of the last reload.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    home: Home,
    loaded: Arc<Mutex<Vec<Option<Stamp>>>>,
}

/// Inode, length and modification time: one of them differs if the file has changed.
type Stamp = (u64, u64, i64, i64);

impl Files {
    pub(crate) fn new(home: &Home) -> Self {
        Self { home: home.clone(), loaded: Arc::new(Mutex::new(stamps(home))) }
    }

    /// Whether a file has changed since the last reload, or a reload is in progress.
    pub(crate) fn are_stale(&self) -> bool {
        *self.loaded() != stamps(&self.home)
    }

    /// Records that the settings in effect are those of the files as of `before`, which is taken before they are read: a
    /// change during the reload leaves them stale.
    fn set_loaded(&self, before: Vec<Option<Stamp>>) {
        *self.loaded() = before;
    }

    fn loaded(&self) -> MutexGuard<'_, Vec<Option<Stamp>>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stamps(home: &Home) -> Vec<Option<Stamp>> {
    // The daemon does not use the env files of single agents.
    let files =
        [home.config(), home.old_config(), home.repositories(), home.env().join(format!("{}.env", env_files::DEFAULT))];
    let stamp = |path: &PathBuf| {
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec()))
    };
    files.iter().map(stamp).collect()
}

/// Reads the settings when the daemon starts.
///
/// # Errors
/// They are invalid, and there are no earlier valid ones to fall back to.
pub(crate) fn initial(home: &Home, masks: &Masks) -> Result<(Settings, SettingsDiagnostics), ConfigError> {
    let loaded = load(home, &own_environment)?.usable()?;
    Ok(accept(home, loaded, masks))
}

/// Lets the engine read the env files of an agent. Invalid lines are logged.
pub(crate) fn env_files(home: &Home) -> EnvFiles {
    let home = home.clone();
    EnvFiles::new(move |agent, is_coordinator| {
        let mut own = vec![agent];
        if is_coordinator {
            own.push(env_files::PM_AGENT);
        }
        let merged = env_files::merged(&home, &own).map_err(|failure| failure.message)?;
        for diagnostic in merged.diagnostics {
            tracing::warn!("{diagnostic}");
        }
        Ok(merged.variables)
    })
}

/// Publishes the settings in effect and the problems of their files.
#[derive(Debug)]
pub(crate) struct Publishers {
    pub(crate) settings: watch::Sender<Arc<Settings>>,
    pub(crate) diagnostics: watch::Sender<SettingsDiagnostics>,
}

/// Reloads the settings after each change of a file and on request, until both channels are closed.
pub(crate) async fn reload_on_change(
    home: Home,
    files: Files,
    masks: Masks,
    publishers: Publishers,
    mut changed: mpsc::Receiver<()>,
    mut requests: mpsc::Receiver<Reload>,
) {
    loop {
        let reply = tokio::select! {
            Some(()) = changed.recv() => None,
            Some(reply) = requests.recv() => Some(reply),
            else => return,
        };
        let before = stamps(&home);
        let result = match load(&home, &own_environment).and_then(Loaded::usable) {
            Ok(loaded) => {
                let (settings, diagnostics) = accept(&home, loaded, &masks);
                publishers.settings.send_replace(Arc::new(settings));
                publishers.diagnostics.send_replace(diagnostics);
                tracing::info!("settings reloaded");
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, "invalid settings; keeping the previous ones");
                publishers.diagnostics.send_modify(|diagnostics| diagnostics.error = Some(error.to_string()));
                Err(error.to_string())
            }
        };
        files.set_loaded(before);
        if let Some(reply) = reply {
            // The requester may have disconnected.
            let _ = reply.send(result);
        }
    }
}

/// Masks the secrets of loaded settings, and saves the file as the last valid one.
fn accept(home: &Home, loaded: Loaded, masks: &Masks) -> (Settings, SettingsDiagnostics) {
    masks.set(&loaded.settings.variables);
    if let Err(error) = loaded.save_last_valid(home) {
        tracing::warn!(%error, "could not save the settings to fall back to");
    }
    loaded.messages().for_each(|message| tracing::warn!("{message}"));
    let errors: Vec<String> = loaded.errors.iter().map(ToString::to_string).collect();
    let error = (!errors.is_empty()).then(|| errors.join("; "));
    (loaded.settings, SettingsDiagnostics { error, warnings: loaded.warnings })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_stale_until_the_settings_read_from_them_are_in_force() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path().join("kugetsu"));
        home.create().unwrap();
        fs::write(home.config(), "").unwrap();
        let files = Files::new(&home);
        assert!(!files.are_stale());
        fs::write(home.config(), "[agents]\nmax = 5\n").unwrap();
        let before = stamps(&home);
        assert!(files.are_stale(), "a reload in progress");
        fs::write(home.config(), "[agents]\nmax = 5000\n").unwrap();
        files.set_loaded(before);
        assert!(files.are_stale(), "a change during the reload");
        files.set_loaded(stamps(&home));
        assert!(!files.are_stale());
    }
}
