//! The database file: complete after a clean stop, and watched while it is open.

use std::fs;

use kugetsu_store::error::StoreError;
use kugetsu_store::open::{Opened, open, open_read_only};
use rusqlite::Connection;

use crate::world::{World, now, start};

#[tokio::test]
async fn after_close_the_file_alone_holds_everything() {
    let mut world = World::new().await;
    world.queued(1).await;
    // A handle that is still in use somewhere, as in a daemon that stops.
    let left = world.store().clone();
    world.close_explicitly().await;
    let alone = world.path().with_file_name("alone.db");
    fs::copy(world.path(), &alone).unwrap();
    assert_eq!(open_read_only(&alone).unwrap().queue(0).await.unwrap().queued, 1);
    assert!(!world.path().with_file_name("kugetsu.db-wal").exists());
    assert_eq!(left.enqueue(start(2), now()).await.unwrap_err(), StoreError::Closed);
    assert_eq!(left.queue(0).await.unwrap_err(), StoreError::Closed);
}

/// Opens a store with one queued task and changes its files.
async fn changed_under_the_store(change: impl FnOnce(&std::path::Path)) -> (World, StoreError) {
    let world = World::new().await;
    world.queued(1).await;
    change(&world.path());
    let error = world.store().enqueue(start(2), now()).await.unwrap_err();
    assert!(matches!(error, StoreError::Lost { .. }), "{error}");
    let hint = error.hint().unwrap();
    assert!(hint.contains("kugetsu db restore"), "{hint}");
    (world, error)
}

#[tokio::test]
async fn a_deleted_database_confirms_nothing_and_is_saved() {
    for name in ["kugetsu.db", "kugetsu.db-wal"] {
        let (world, error) = changed_under_the_store(|path| fs::remove_file(path.with_file_name(name)).unwrap()).await;
        let StoreError::Lost { how: "deleted", saved: Some(saved), path } = &error else { panic!("{error:?}") };
        assert!(path.ends_with(name), "{error}");
        let reading = world.store().queue(0).await.unwrap_err();
        assert!(matches!(reading, StoreError::Lost { .. }), "{reading}");
        let Opened { store, .. } = open(saved).unwrap();
        assert_eq!(store.queue(0).await.unwrap().queued, 1, "everything that was confirmed, and nothing else");
    }
}

#[tokio::test]
async fn a_replaced_database_confirms_nothing_and_is_left_alone() {
    let (mut world, error) = changed_under_the_store(|path| {
        let other = path.with_file_name("other.db");
        let connection = Connection::open(&other).unwrap();
        connection
            .execute_batch("PRAGMA journal_mode = wal; CREATE TABLE other (x); INSERT INTO other VALUES (1)")
            .unwrap();
        // It is not closed, so its log exists.
        std::mem::forget(connection);
        fs::rename(&other, path).unwrap();
        fs::rename(other.with_file_name("other.db-wal"), path.with_file_name("kugetsu.db-wal")).unwrap();
    })
    .await;
    assert!(matches!(error, StoreError::Lost { how: "replaced", .. }), "{error:?}");
    let log = fs::read(world.path().with_file_name("kugetsu.db-wal")).unwrap();
    assert!(!log.is_empty());
    world.close_explicitly().await;
    assert_eq!(
        fs::read(world.path().with_file_name("kugetsu.db-wal")).unwrap(),
        log,
        "closing does not remove its log"
    );
}

#[tokio::test]
async fn an_overwritten_database_confirms_nothing() {
    let (_, error) = changed_under_the_store(|path| {
        let old = fs::read(path).unwrap();
        fs::write(path, &old[..old.len() / 2]).unwrap();
    })
    .await;
    assert!(matches!(error, StoreError::Lost { how: "overwritten", .. }), "{error:?}");
}

#[tokio::test]
async fn a_database_that_is_moved_away_and_back_can_be_used_again() {
    let world = World::new().await;
    world.queued(1).await;
    let away = world.path().with_file_name("away.db");
    fs::rename(world.path(), &away).unwrap();
    assert!(world.store().enqueue(start(2), now()).await.is_err());
    fs::rename(&away, world.path()).unwrap();
    world.queued(2).await;
}

#[tokio::test]
async fn a_backup_holds_everything_and_replaces_nothing() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new().await;
    world.queued(1).await;
    world.store().set_home("this home".to_owned()).await.unwrap();
    let copy = world.path().with_file_name("copy.db");
    world.store().back_up(copy.clone()).await.unwrap();
    let mode = fs::metadata(&copy).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    world.queued(2).await;
    let store = open_read_only(&copy).unwrap();
    assert_eq!((store.queue(0).await.unwrap().queued, store.check().await.unwrap()), (1, Vec::new()));
    assert_eq!(store.home().await.unwrap().as_deref(), Some("this home"));
    let error = world.store().back_up(copy.clone()).await.unwrap_err();
    assert!(error.to_string().contains("copy.db"), "{error}");
    assert_eq!(store.queue(0).await.unwrap().queued, 1);
    let names =
        fs::read_dir(copy.parent().unwrap()).unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    assert_eq!(names.filter(|name| name.contains("part")).collect::<Vec<_>>(), Vec::<String>::new());
}
