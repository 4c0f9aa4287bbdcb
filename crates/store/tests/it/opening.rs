//! Files that are not ours, or not ours yet.

use kugetsu_store::error::OpenError;
use kugetsu_store::open::{look, open};
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use crate::world::World;

#[tokio::test]
async fn a_database_of_a_newer_version_is_left_as_it_is() {
    let mut world = World::new().await;
    world.queued(1).await;
    world.close().await;
    let options = SqliteConnectOptions::new().filename(world.path());
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (4711, 'from the future', 1, x'00', 0)";
    sqlx::query(newer).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();

    let before = std::fs::read(world.path()).unwrap();
    let error = open(&world.path()).await.unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 4711, .. }), "{error}");
    let said = error.to_string();
    assert!(said.contains("newer kugetsu") && said.contains("4711") && said.contains("KUGETSU_HOME"), "{said}");
    assert_eq!(std::fs::read(world.path()).unwrap(), before);
}

#[tokio::test]
async fn looking_reads_what_is_stored_and_writes_nothing() {
    let mut world = World::new().await;
    world.queued(1).await;
    // While somebody writes, and when nobody does.
    assert_eq!(look(&world.path()).await.unwrap().queued().await.unwrap(), 1);
    world.close().await;
    let before = std::fs::read(world.path()).unwrap();
    let seen = look(&world.path()).await.unwrap();
    assert_eq!((seen.queued().await.unwrap(), seen.check().await.unwrap()), (1, Vec::new()));
    assert!(seen.clean(jiff::Timestamp::now()).await.is_err(), "nothing can be written");
    assert_eq!(std::fs::read(world.path()).unwrap(), before);

    let options = SqliteConnectOptions::new().filename(world.path());
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query("DELETE FROM _sqlx_migrations WHERE version > 1").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let error = look(&world.path()).await.unwrap_err();
    assert!(matches!(error, OpenError::Older { found: 1, .. }), "{error}");
    let missing = world.path().with_file_name("missing.db");
    let error = look(&missing).await.unwrap_err();
    assert!(matches!(error, OpenError::NotReadable { .. }) && error.to_string().contains("missing.db"), "{error}");
    assert!(!missing.exists());
}

#[tokio::test]
async fn a_file_that_is_no_database_is_named_and_left_as_it_is() {
    let world = World::new().await;
    let path = world.path().with_file_name("notes.txt");
    let text = "not a database, but some text that is long enough to be looked at ".repeat(50);
    std::fs::write(&path, &text).unwrap();
    let error = open(&path).await.unwrap_err();
    assert!(matches!(error, OpenError::Unreadable { .. }), "{error}");
    assert!(error.to_string().contains("notes.txt"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[tokio::test]
async fn a_database_of_somebody_else_is_refused_and_left_as_it_is() {
    let world = World::new().await;
    let path = world.path().with_file_name("other.db");
    let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query("CREATE TABLE tasks (title TEXT)").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let error = open(&path).await.unwrap_err();
    assert!(matches!(error, OpenError::Unreadable { .. }), "{error}");
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query("SELECT title FROM tasks").fetch_all(&mut connection).await.unwrap();
    assert!(sqlx::query("SELECT * FROM issues").fetch_all(&mut connection).await.is_err(), "nothing of ours is in it");
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_named() {
    let world = World::new().await;
    let error = open(&world.path().with_file_name("missing/kugetsu.db")).await.unwrap_err();
    assert!(matches!(error, OpenError::NotWritable { .. }), "{error}");
    assert!(error.to_string().contains("missing/kugetsu.db"), "{error}");
}

#[tokio::test]
async fn an_empty_file_becomes_a_database() {
    let world = World::new().await;
    let path = world.path().with_file_name("empty.db");
    std::fs::write(&path, "").unwrap();
    let opened = open(&path).await.unwrap();
    assert_eq!(opened.store.last_event().await.unwrap(), 0);
}

#[tokio::test]
async fn what_was_confirmed_survives_a_crash() {
    let mut world = World::new().await;
    world.queued(1).await;
    // A copy of the files as they are now, the log not yet merged, is what a power cut leaves.
    let copy = world.path().with_file_name("after");
    std::fs::create_dir(&copy).unwrap();
    for name in ["kugetsu.db", "kugetsu.db-wal"] {
        std::fs::copy(world.path().with_file_name(name), copy.join(name)).unwrap();
    }
    world.close().await;
    let opened = open(&copy.join("kugetsu.db")).await.unwrap();
    assert_eq!(opened.store.queued().await.unwrap(), 1);
}
