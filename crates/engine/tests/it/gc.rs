//! The daily gc removes what nothing uses, and nothing else.

use std::fs;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kugetsu_api::gc::GcRequest;
use kugetsu_domain::naming;
use kugetsu_domain::reference::{ForgeKind, ProjectPath, RepoRef, ServerBase};
use kugetsu_engine::gc;
use kugetsu_store::view::Repo;
use kugetsu_testkit::Repository;

use crate::files::mirror;
use crate::world::{World, settings};

fn local_repo(repository: &Repository) -> Repo {
    Repo {
        name: RepoRef { base: ServerBase::local(), project: ProjectPath::new("demo").unwrap() },
        kind: Some(ForgeKind::Local),
        source: repository.path().to_str().unwrap().to_owned(),
    }
}

/// The time at which something of today has been unused for this many days.
fn in_days(days: i64) -> Timestamp {
    Timestamp::now() + SignedDuration::from_hours(24 * days)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn daily_gc_removes_an_unused_mirror_and_keeps_one_that_is_needed() {
    let directory = tempfile::tempdir().unwrap();
    let repository = Repository::at(directory.path().join("demo"));
    repository.commit_files("first", &[("a.txt", "a")]);
    let world = World::with(settings(1), local_repo(&repository)).await;
    let path = world.home.mirrors().join(naming::mirror_directory(&world.repo.name));
    drop(mirror(&world).await);
    let daemon = world.daemon();
    daemon.start(1, "done").await;
    daemon.settled(1).await;

    // The issue is open.
    daemon.set_time(in_days(40));
    let request = GcRequest::default();
    let result = gc::collect(&daemon.engine, &request).await.unwrap();
    assert!(!result.items.iter().any(|item| item.kind == "mirrors") && path.exists(), "{result:?}");

    let issue = daemon.issue(1).await;
    let event = kugetsu_domain::flow::Event::DestroyRequested;
    daemon.engine.apply(issue.id, event).await.unwrap();
    daemon.no_effects(issue.id).await;
    let again = GcRequest { dry_run: true, ..GcRequest::default() };

    // A relay of it borrows objects, wherever it is.
    let relay =
        world.home.quarantine().join("x/gates").join(format!("{}-9", naming::mirror_directory(&world.repo.name)));
    fs::create_dir_all(&relay).unwrap();
    daemon.set_time(in_days(80));
    let result = gc::collect(&daemon.engine, &again).await.unwrap();
    assert!(!result.items.iter().any(|item| item.kind == "mirrors"), "{result:?}");
    fs::remove_dir_all(world.home.quarantine()).unwrap();

    // Without its source, it cannot be cloned again.
    let moved = directory.path().join("moved");
    fs::rename(repository.path(), &moved).unwrap();
    let result = gc::collect(&daemon.engine, &again).await.unwrap();
    assert_eq!(result.items.iter().filter(|item| item.kind == "mirrors").count(), 1, "{result:?}");
    let result = gc::collect(&daemon.engine, &request).await.unwrap();
    assert!(result.kept.len() == 1 && path.exists(), "{result:?}");
    fs::rename(&moved, repository.path()).unwrap();

    world.change_settings(|settings| settings.gc.daily = false);
    daemon.set_time(in_days(90));
    assert!(path.exists());
    world.change_settings(|settings| settings.gc.daily = true);
    let day = std::cell::Cell::new(90);
    daemon
        .until("the removal of the mirror", async || {
            day.set(day.get() + 1);
            daemon.set_time(in_days(day.get()));
            (!path.exists()).then_some(())
        })
        .await;
    let storage = gc::storage(&daemon.engine).unwrap();
    assert!(storage.total_bytes > 0 && storage.kinds.iter().any(|kind| kind.kind == "database" && kind.bytes > 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_daemon_knows_the_last_sizes_and_measures_again_only_when_it_is_time() {
    let world = World::new(1).await;
    let daemon = world.daemon();
    let file = world.home.database().with_file_name("sizes.json");
    let is_done =
        async || fs::read_to_string(&file).is_ok_and(|text| text.contains(r#""collected_at":""#)).then_some(());
    daemon.until("the end of the first gc", is_done).await;
    let first = gc::storage(&daemon.engine).unwrap();
    daemon.kill().await;
    fs::write(world.home.path().join("big"), vec![1; 1 << 20]).unwrap();
    let daemon = world.daemon();
    let second = daemon.until("a measurement", async || gc::storage(&daemon.engine)).await;
    assert_eq!(second, first);
    let later = daemon.engine.clock().now() + SignedDuration::try_from(Duration::from_hours(2)).unwrap();
    daemon.set_time(later);
    let third = daemon
        .until("another measurement", async || gc::storage(&daemon.engine).filter(|storage| *storage != first))
        .await;
    assert!(third.total_bytes >= first.total_bytes + (1 << 20), "{first:?} {third:?}");
}
