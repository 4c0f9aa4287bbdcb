//! The daemon's settings as they change. A mistake in them never stops it: what held before goes on to hold.

use std::sync::Arc;

use kugetsu_engine::{Home, Settings};
use tokio::sync::{mpsc, oneshot, watch};

use crate::config::error::ConfigError;
use crate::config::load::{Loaded, keep_good, load, own_environment};

use super::log::Masks;

/// Somebody wants the settings read again, and how it went.
pub(crate) type Reload = oneshot::Sender<Result<(), String>>;

/// Reads the settings for the first time.
///
/// # Errors
/// There are no good ones to fall back to yet.
pub(crate) fn first(home: &Home, masks: &Masks) -> Result<Settings, ConfigError> {
    let loaded = load(home, &own_environment)?;
    Ok(taken(home, loaded, masks))
}

/// Reads them again whenever a file changed or somebody asks, for as long as anybody can ask.
pub(crate) async fn keep(
    home: Home,
    masks: Masks,
    settings: watch::Sender<Arc<Settings>>,
    mut changed: mpsc::Receiver<()>,
    mut asked: mpsc::Receiver<Reload>,
) {
    loop {
        let reply = tokio::select! {
            Some(()) = changed.recv() => None,
            Some(reply) = asked.recv() => Some(reply),
            else => return,
        };
        let answer = match load(&home, &own_environment) {
            Ok(loaded) => {
                settings.send_replace(Arc::new(taken(&home, loaded, &masks)));
                tracing::info!("the settings were read again");
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, "the settings cannot be used; those from before go on to hold");
                Err(error.to_string())
            }
        };
        if let Some(reply) = reply {
            // Whoever asked may have gone away.
            let _ = reply.send(answer);
        }
    }
}

fn taken(home: &Home, loaded: Loaded, masks: &Masks) -> Settings {
    masks.set(&loaded.settings.variables);
    if let Err(error) = keep_good(home) {
        tracing::warn!(%error, "the settings could not be kept for runs that begin while they are edited");
    }
    for fault in loaded.faults {
        tracing::warn!("{fault}");
    }
    loaded.settings
}
