//! Watches the settings files and the socket for changes.

use std::path::Path;
use std::time::Duration;

use kugetsu_api::home::Home;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

/// Editors write a file in several steps. Events within this time count as one change.
const DEBOUNCE: Duration = Duration::from_millis(50);

/// Sends to `changed` when a settings file changes, and to `socket` when the daemon's socket does, for as long as the returned
/// watcher lives. Channels of capacity one are enough.
///
/// # Errors
/// The watch could not be created, for example because the system has none left.
pub(crate) fn watch(
    home: &Home,
    changed: mpsc::Sender<()>,
    socket: mpsc::Sender<()>,
) -> notify::Result<RecommendedWatcher> {
    let (sender, mut events) = mpsc::channel(1);
    let own = home.clone();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| match event {
        Ok(event) if is_of_socket(&own, &event) => {
            let _ = socket.try_send(());
        }
        Ok(event) if is_relevant(&own, &event) => {
            // A full channel already holds a notification.
            let _ = sender.try_send(());
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "changes of the settings may have been missed"),
    })?;
    // Watch the directories: a file that is replaced gets a new inode, which a watch on the file would miss.
    watcher.watch(home.path(), RecursiveMode::NonRecursive)?;
    watcher.watch(&home.env(), RecursiveMode::NonRecursive)?;
    tokio::spawn(async move {
        while events.recv().await.is_some() {
            tokio::time::sleep(DEBOUNCE).await;
            while events.try_recv().is_ok() {}
            if changed.send(()).await.is_err() {
                return;
            }
        }
    });
    Ok(watcher)
}

fn is_of_socket(home: &Home, event: &Event) -> bool {
    let name = home.socket().ok().and_then(|socket| socket.file_name().map(ToOwned::to_owned));
    !matches!(event.kind, EventKind::Access(_))
        && name.is_some_and(|name| event.paths.iter().any(|path| path.file_name() == Some(name.as_os_str())))
}

fn is_relevant(home: &Home, event: &Event) -> bool {
    // Reading the files in response to a read event would loop forever.
    !matches!(event.kind, EventKind::Access(_)) && event.paths.iter().any(|path| is_settings_file(home, path))
}

/// Compares file names only: the reported path may name the home differently.
fn is_settings_file(home: &Home, path: &Path) -> bool {
    let Some(name) = path.file_name() else { return false };
    let files = [home.config(), home.old_config(), home.repositories()];
    files.iter().any(|file| file.file_name() == Some(name)) || path.extension().is_some_and(|kind| kind == "env")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn settings_files_are_watched_and_other_files_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path().to_owned());
        home.create().unwrap();
        let (changed, mut changes) = mpsc::channel(1);
        let _watcher = watch(&home, changed, mpsc::channel(1).0).unwrap();
        for path in [home.config(), home.env().join("default.env"), home.repositories()] {
            crate::atomic::write(&path, "x").unwrap();
            tokio::time::timeout(Duration::from_secs(60), changes.recv()).await.unwrap().unwrap();
            fs::read(&path).unwrap();
        }
        assert!(!is_settings_file(&home, &home.database()));
        assert!(!is_settings_file(&home, &home.lock()));
    }
}
