//! Thousands of finished runs leave nothing behind once they are old: the home, the database and the daemon's memory are as
//! small as before.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use jiff::SignedDuration;
use kugetsu_domain::task::TaskKind;
use kugetsu_engine::gc::history;
use kugetsu_store::query::{ViewFilter, ViewQuery};
use kugetsu_store::write::Precondition;
use tokio::runtime::Builder;

use crate::world::{Daemon, World, settings};

/// Number of runs, one after the other in each of a tenth as many issues.
const RUNS: u64 = 2000;
const ISSUES: u64 = RUNS / 10;
/// The size of the transcript of a short run.
const TRANSCRIPT: usize = 16 * 1024;

/// The size of all files, in bytes. Temporary files of a run that has just ended may vanish meanwhile.
fn size(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(
            |entry| {
                if entry.path().is_dir() { size(&entry.path()) } else { entry.metadata().map_or(0, |file| file.len()) }
            },
        )
        .sum()
}

/// The resident memory of this process, in bytes. It is the daemon here, and runs no other test.
#[cfg(target_os = "linux")]
fn memory() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

#[cfg(not(target_os = "linux"))]
fn memory() -> u64 {
    0
}

struct Sizes {
    database: u64,
    log: u64,
    runs: u64,
    directories: usize,
    events: usize,
    memory: u64,
}

async fn sizes(world: &World, daemon: &Daemon) -> Sizes {
    Sizes {
        database: fs::metadata(world.home.database()).unwrap().len(),
        log: fs::metadata(world.home.database().with_extension("db-wal")).map_or(0, |log| log.len()),
        runs: size(&world.home.runs()),
        directories: fs::read_dir(world.home.runs()).unwrap().count(),
        events: daemon.store.events_after(None, 0, u32::MAX).await.unwrap().len(),
        memory: memory(),
    }
}

/// Runs a task in each issue, and gives the runs transcripts.
async fn round(world: &World, daemon: &Daemon, kind: TaskKind) {
    for number in 1..=ISSUES {
        let message = format!("done {}", "with a message of some length ".repeat(20));
        daemon.enqueue(number, kind, &message, Precondition::Any).await;
    }
    let live = ViewQuery::new(ViewFilter::Live).limit(1);
    let is_idle = async || daemon.store.views(live.clone()).await.unwrap().views.is_empty().then_some(());
    daemon.until("the end of all runs", is_idle).await;
    for (run, _) in world.machine.started_runs().iter().rev().take(ISSUES as usize) {
        fs::write(world.home.run(*run).runner_log(), "x".repeat(TRANSCRIPT)).unwrap();
    }
}

/// Set in the process whose memory is measured.
const MEASURED: &str = "KUGETSU_TEST_MEASURED";

/// In another process, because `cargo test` runs the other tests in threads of this one.
#[test]
fn home_and_memory_shrink_back_after_two_thousand_runs() {
    if std::env::var_os(MEASURED).is_some() {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        return runtime.block_on(shrink_back());
    }
    let name = "many_runs::home_and_memory_shrink_back_after_two_thousand_runs";
    let mut process = Command::new(std::env::current_exe().unwrap());
    let process = process.args(["--exact", name, "--nocapture"]).env(MEASURED, "1").output().unwrap();
    let [stdout, stderr] = [&process.stdout, &process.stderr].map(|text| String::from_utf8_lossy(text));
    eprintln!("{stderr}");
    assert!(process.status.success() && stdout.contains("1 passed"), "{}: {stdout}", process.status);
}

async fn shrink_back() {
    let world = World::with(settings(50), crate::world::repo()).await;
    let daemon = world.daemon();
    round(&world, &daemon, TaskKind::Start).await;
    let clean = async || {
        world.change_settings(|settings| settings.queue.keep = Duration::from_secs(3600));
        daemon.set_time(daemon.engine.clock().now() + SignedDuration::from_hours(2));
        history::clean(&daemon.engine, Duration::from_secs(3600)).await.unwrap();
    };
    clean().await;
    let before = sizes(&world, &daemon).await;

    for _ in 0..RUNS / ISSUES {
        round(&world, &daemon, TaskKind::Continue).await;
    }
    let full = sizes(&world, &daemon).await;
    assert_eq!(world.machine.started_runs().len() as u64, RUNS + ISSUES);
    assert!(full.directories as u64 >= RUNS && full.runs > RUNS * TRANSCRIPT as u64 && full.events as u64 > 2 * RUNS);
    clean().await;
    let after = sizes(&world, &daemon).await;

    let shown = |sizes: &Sizes| {
        format!(
            "database {} log {} runs {} in {} directories, {} events, memory {}",
            sizes.database, sizes.log, sizes.runs, sizes.directories, sizes.events, sizes.memory
        )
    };
    let shown = format!("before: {}\nfull: {}\nafter: {}", shown(&before), shown(&full), shown(&after));
    eprintln!("{shown}");
    assert_eq!((after.directories, after.runs), (0, 0), "{shown}");
    assert!(after.events <= 1 && after.database < before.database * 3 / 2 + (1 << 20), "{shown}");
    assert!(full.database > after.database * 2, "{shown}");
    assert!(after.memory < before.memory * 3 / 2 + (16 << 20), "{shown}");
}
