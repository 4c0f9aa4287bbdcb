//! Opening and refusing files.

use kugetsu_store::error::OpenError;
use kugetsu_store::open::{open, open_read_only};
use rusqlite::Connection;

use crate::world::World;

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_and_unchanged() {
    let mut world = World::new().await;
    world.queued(1).await;
    world.close().await;
    let connection = Connection::open(world.path()).unwrap();
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (4711, 'from the future', 1, x'00', 0)";
    connection.execute(newer, []).unwrap();
    connection.close().unwrap();

    let before = std::fs::read(world.path()).unwrap();
    let error = open(&world.path()).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 4711, .. }), "{error}");
    let message = error.to_string();
    assert!(message.contains("newer kugetsu") && message.contains("4711"), "{message}");
    assert!(error.hint().unwrap().contains("kugetsu db restore"));
    assert_eq!(std::fs::read(world.path()).unwrap(), before);
}

#[tokio::test]
async fn opening_read_only_writes_nothing() {
    let mut world = World::new().await;
    world.queued(1).await;
    // While the daemon has it open, and after.
    assert_eq!(open_read_only(&world.path()).unwrap().queue(0).await.unwrap().queued, 1);
    world.close().await;
    let before = std::fs::read(world.path()).unwrap();
    let store = open_read_only(&world.path()).unwrap();
    assert_eq!((store.queue(0).await.unwrap().queued, store.check().await.unwrap()), (1, Vec::new()));
    assert!(store.clean(jiff::Timestamp::now()).await.is_err(), "writes are refused");
    assert_eq!(std::fs::read(world.path()).unwrap(), before);

    let connection = Connection::open(world.path()).unwrap();
    connection.execute("DELETE FROM _sqlx_migrations WHERE version > 1", []).unwrap();
    connection.close().unwrap();
    let error = open_read_only(&world.path()).unwrap_err();
    assert!(matches!(error, OpenError::Older { found: 1, .. }), "{error}");
    let missing = world.path().with_file_name("missing.db");
    let error = open_read_only(&missing).unwrap_err();
    assert!(matches!(error, OpenError::Unreadable { .. }) && error.to_string().contains("missing.db"), "{error}");
    assert!(!missing.exists());
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_unchanged() {
    let world = World::new().await;
    let path = world.path().with_file_name("notes.txt");
    let text = "not a database, but some text that is long enough to be looked at ".repeat(50);
    std::fs::write(&path, &text).unwrap();
    let error = open(&path).unwrap_err();
    assert!(matches!(error, OpenError::Invalid { .. }), "{error}");
    assert!(error.to_string().contains("notes.txt"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[tokio::test]
async fn a_database_of_another_program_is_refused_and_unchanged() {
    let world = World::new().await;
    let path = world.path().with_file_name("other.db");
    let connection = Connection::open(&path).unwrap();
    connection.execute("CREATE TABLE tasks (title TEXT)", []).unwrap();
    connection.close().unwrap();
    let error = open(&path).unwrap_err();
    assert!(matches!(error, OpenError::Invalid { .. }), "{error}");
    let connection = Connection::open(&path).unwrap();
    connection.prepare("SELECT title FROM tasks").unwrap();
    assert!(connection.prepare("SELECT * FROM issues").is_err(), "no table of ours was created");
}

#[tokio::test]
async fn a_path_that_cannot_be_written_is_named() {
    let world = World::new().await;
    let error = open(&world.path().with_file_name("missing/kugetsu.db")).unwrap_err();
    assert!(matches!(error, OpenError::Unwritable { .. }), "{error}");
    assert!(error.to_string().contains("missing/kugetsu.db"), "{error}");
}

#[tokio::test]
async fn an_empty_file_is_initialized() {
    let world = World::new().await;
    let path = world.path().with_file_name("empty.db");
    std::fs::write(&path, "").unwrap();
    let opened = open(&path).unwrap();
    assert_eq!(opened.store.last_event(None, None).await.unwrap(), 0);
}

#[tokio::test]
async fn confirmed_writes_survive_a_crash() {
    let mut world = World::new().await;
    world.queued(1).await;
    // A power cut leaves the files as they are now, with the log not merged.
    let copy = world.path().with_file_name("after");
    std::fs::create_dir(&copy).unwrap();
    for name in ["kugetsu.db", "kugetsu.db-wal"] {
        std::fs::copy(world.path().with_file_name(name), copy.join(name)).unwrap();
    }
    world.close().await;
    let opened = open(&copy.join("kugetsu.db")).unwrap();
    assert_eq!(opened.store.queue(0).await.unwrap().queued, 1);
}
