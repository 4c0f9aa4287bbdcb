//! Sees changes of the settings' files, by the kernel's word and not by asking.

use std::path::Path;
use std::time::Duration;

use kugetsu_api::home::Home;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

/// Editors write a file in several steps; what comes within this time is one change.
const TOGETHER: Duration = Duration::from_millis(50);

/// Says into `changed` when a file of the settings changed, for as long as the returned watcher lives. The channel
/// should hold one word: more would say nothing new.
///
/// # Errors
/// The system has no watches left, for example.
pub(crate) fn watch(home: &Home, changed: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let (seen, mut changes) = mpsc::channel(1);
    let own = home.clone();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| match event {
        Ok(event) if concerns(&own, &event) => {
            // A full channel has the same word in it already.
            let _ = seen.try_send(());
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "changes of the settings may have been missed"),
    })?;
    // The directories and not the files: a file that is replaced is another one.
    watcher.watch(home.path(), RecursiveMode::NonRecursive)?;
    watcher.watch(&home.env(), RecursiveMode::NonRecursive)?;
    tokio::spawn(async move {
        while changes.recv().await.is_some() {
            tokio::time::sleep(TOGETHER).await;
            // What came meanwhile is part of this change.
            while changes.try_recv().is_ok() {}
            if changed.send(()).await.is_err() {
                return;
            }
        }
    });
    Ok(watcher)
}

fn concerns(home: &Home, event: &Event) -> bool {
    // Being read is no change; and whoever reads because of it would never end.
    !matches!(event.kind, EventKind::Access(_)) && event.paths.iter().any(|path| is_setting(home, path))
}

/// By the name alone: the system may tell the path in another form than the home's.
fn is_setting(home: &Home, path: &Path) -> bool {
    let Some(name) = path.file_name() else { return false };
    let files = [home.config(), home.old_config(), home.repositories()];
    files.iter().any(|file| file.file_name() == Some(name)) || path.extension().is_some_and(|kind| kind == "env")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn a_changed_setting_is_seen_and_the_rest_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path().to_owned());
        home.create().unwrap();
        let (changed, mut changes) = mpsc::channel(1);
        let _watcher = watch(&home, changed).unwrap();
        for path in [home.config(), home.env().join("default.env"), home.repositories()] {
            crate::atomic::write(&path, "x").unwrap();
            tokio::time::timeout(Duration::from_secs(60), changes.recv()).await.unwrap().unwrap();
            fs::read(&path).unwrap();
        }
        assert!(!is_setting(&home, &home.database()));
        assert!(!is_setting(&home, &home.lock()));
    }
}
