//! The hourly work of the daemon: backups of the database, removal of old history and of what killed processes left, and
//! [`gc`](crate::gc) once a day.

use std::time::Duration;

use crate::engine::Engine;
use crate::gc;
use crate::home::{backups, reserve};
use crate::repositories;

const INTERVAL: Duration = Duration::from_secs(3600);

/// Maintains the home, now and every hour, for as long as it is polled. The settings may change meanwhile.
pub(crate) async fn maintain(engine: Engine) {
    loop {
        let keep = engine.settings().db.backups;
        match backups::make_daily(engine.home(), engine.store(), keep, engine.now()).await {
            Ok(None) => {}
            Ok(Some(path)) => tracing::info!(path = %path.display(), "the database is backed up"),
            Err(error) => tracing::warn!(%error, "the database could not be backed up; the next attempt is in an hour"),
        }
        let home = engine.home().clone();
        let made = tokio::task::spawn_blocking(move || reserve::make(&home)).await;
        if let Err(error) = made.map_err(std::io::Error::from).flatten() {
            tracing::warn!(%error, "no space could be reserved for a full disk");
        }
        match gc::history::clean(&engine, engine.settings().queue.keep).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "ended tasks older than queue.keep are removed"),
            Err(error) => tracing::warn!(%error, "old tasks could not be removed; the next attempt is in an hour"),
        }
        remove_leftovers(&engine).await;
        gc::daily(&engine).await;
        engine.clock().sleep(INTERVAL).await;
    }
}

/// Removes what killed runners left: temporary files, refs and locks in mirrors, and empty cgroups. What cannot be removed is
/// tried again an hour later.
async fn remove_leftovers(engine: &Engine) {
    match tokio::task::spawn_blocking(kugetsu_process::remove_abandoned_cgroups).await {
        Ok(0) | Err(_) => {}
        Ok(removed) => tracing::info!(removed, "cgroups without processes are removed"),
    }
    if let Err(error) = kugetsu_git::mirror::remove_abandoned(&engine.home().mirrors()).await {
        tracing::warn!(%error, "what killed processes left of mirrors could not be removed");
    }
    let repos = match engine.store().repos().await {
        Ok(repos) => repos,
        Err(error) => return tracing::warn!(%error, "the repositories cannot be listed"),
    };
    for repo in repos {
        let removed = match repositories::mirror_if_there(engine, &repo).await {
            Ok(Some(mirror)) => mirror.remove_leftovers().await,
            Ok(None) => continue,
            Err(error) => Err(error),
        };
        if let Err(error) = removed {
            tracing::warn!(repo = %repo.name, %error, "leftovers in the mirror could not be removed");
        }
    }
}
