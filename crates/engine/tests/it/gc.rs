//! The daily gc removes what nothing uses, and nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kugetsu_api::gc::{GcObject, GcRequest};
use kugetsu_domain::naming;
use kugetsu_domain::reference::{ForgeKind, ProjectPath, RepoRef, ServerBase};
use kugetsu_domain::task::TaskKind;
use kugetsu_engine::gc;
use kugetsu_engine::home::open::open_home;
use kugetsu_store::query::{ViewFilter, ViewQuery};
use kugetsu_store::view::Repo;
use kugetsu_store::write::Precondition;
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
    let mut settings = settings(1);
    settings.gc.daily = false;
    let world = World::with(settings, local_repo(&repository)).await;
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

    let later = in_days(90);
    daemon.set_time(later);
    let measured_at = || gc::storage(&daemon.engine)?.measured_at.parse::<Timestamp>().ok();
    let is_measured = async || measured_at().filter(|at| *at >= later - SignedDuration::from_secs(1));
    let first = daemon.until("a measurement of the home", is_measured).await;
    // A gc measures the home again at its end.
    let is_repeated = async || {
        daemon.set_time(daemon.engine.clock().now() + SignedDuration::from_hours(1));
        measured_at().filter(|at| *at > first)
    };
    daemon.until("another measurement", is_repeated).await;
    assert!(path.exists(), "gc.daily is false");
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gc_for_the_size_removes_directories_of_ended_runs_and_keeps_tasks_and_events() {
    let world = World::new(3).await;
    world.change_settings(|settings| {
        settings.gc.daily = false;
        settings.gc.max_size = Some(0);
        settings.queue.keep = Duration::from_hours(24 * 365);
        // The watchdog leaves the last run alone.
        settings.run.timeout = Duration::from_hours(24 * 365);
    });
    let daemon = world.daemon();
    for number in [1, 2] {
        daemon.start(number, "done").await;
        daemon.settled(number).await;
        daemon.enqueue(number, TaskKind::Continue, "done", Precondition::Any).await;
        daemon.settled(number).await;
    }
    daemon.start(3, "stuck").await;
    let started = async || (world.machine.started_runs().len() == 5).then_some(());
    daemon.until("the start of the last run", started).await;
    let runs: Vec<_> = world.machine.started_runs().into_iter().map(|(run, _)| run).collect();
    let exists = || runs.iter().map(|run| world.home.run(*run).path().exists()).collect::<Vec<_>>();
    // Older than a day by the database, and new by the times of the files.
    let later = daemon.engine.clock().now() + SignedDuration::from_hours(48);
    daemon.set_time(later);
    let tasks = async || daemon.store.views(ViewQuery::new(ViewFilter::All)).await.unwrap().views;
    let events = async || daemon.store.events_after(None, 0, 1000).await.unwrap();
    let (tasks_before, events_before) = (tasks().await, events().await);

    let dry = gc::collect(&daemon.engine, &GcRequest { dry_run: true, ..GcRequest::default() }).await.unwrap();
    assert_eq!(exists(), [true; 5], "{dry:?}");
    let names = |object: &GcObject| object.items.iter().map(|item| item.name.clone()).collect::<BTreeSet<_>>();
    assert_eq!(names(&dry), runs[..4].iter().map(ToString::to_string).collect(), "{dry:?}");
    assert!(dry.items.iter().all(|item| item.age_seconds >= 48 * 3600), "{dry:?}");
    let done = gc::collect(&daemon.engine, &GcRequest::default()).await.unwrap();
    assert_eq!(names(&done), names(&dry));
    assert_eq!(exists(), [false, false, false, false, true], "{done:?}");
    assert_eq!(done.freed.iter().map(|size| (size.kind.as_str(), size.count)).collect::<Vec<_>>(), [("runs", 4)]);
    assert_eq!((tasks().await, events().await), (tasks_before, events_before));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opening_the_home_removes_temporary_files_of_killed_processes() {
    let world = World::new(1).await;
    let daemon = world.daemon();
    fs::create_dir_all(world.home.agents()).unwrap();
    let left = world.home.agents().join(".mine.models.new");
    fs::write(&left, "cut of").unwrap();
    open_home(&daemon.engine).await.unwrap();
    assert!(!left.exists());
}
