//! Enqueues a second without the daemon: closed-loop clients in one process, at different lengths of the queue.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kugetsu_domain::ids::{IssueId, TaskId};
use kugetsu_domain::reference::{ProjectPath, RepoRef, ServerBase};
use kugetsu_domain::task::{Task, TaskKind};
use kugetsu_store::open::open;
use kugetsu_store::store::Store;
use kugetsu_store::view::Repo;
use kugetsu_store::write::{Enqueue, Precondition};
use uuid::Uuid;

const MEASURED: u64 = 20_000;

fn main() {
    let directory = std::env::temp_dir().join(format!("kugetsu-bench-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let opened = open(&directory.join("bench.db")).unwrap();
        let next = Arc::new(AtomicU64::new(1));
        for (clients, queued) in [(1, 0), (8, 0), (64, 0), (8, 100_000), (64, 100_000)] {
            let there = next.load(Ordering::Relaxed);
            if queued > there {
                enqueue(&opened.store, &next, 64, queued - there).await;
            }
            let count = if clients == 1 { MEASURED / 10 } else { MEASURED };
            let begun = Instant::now();
            let mut times = enqueue(&opened.store, &next, clients, count).await;
            let rate = count as f64 / begun.elapsed().as_secs_f64();
            times.sort_unstable();
            let at = |share: f64| times[(times.len() as f64 * share) as usize].as_secs_f64() * 1e3;
            println!(
                "{clients:>3} clients, {queued:>6} queued: {rate:>6.0} enqueues/s, p50 {:.2} ms, p99 {:.2} ms",
                at(0.5),
                at(0.99)
            );
        }
    });
    std::fs::remove_dir_all(&directory).unwrap();
}

async fn enqueue(store: &Store, next: &Arc<AtomicU64>, clients: usize, count: u64) -> Vec<Duration> {
    let end = next.load(Ordering::Relaxed) + count;
    let mut times = Vec::new();
    let clients: Vec<_> = (0..clients)
        .map(|_| {
            let (store, next) = (store.clone(), Arc::clone(next));
            tokio::spawn(async move {
                let mut times = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= end {
                        return times;
                    }
                    let task = task(number);
                    let begun = Instant::now();
                    store.enqueue(task, Timestamp::now()).await.unwrap();
                    times.push(begun.elapsed());
                }
            })
        })
        .collect();
    for client in clients {
        times.extend(client.await.unwrap());
    }
    next.store(end, Ordering::Relaxed);
    times
}

fn task(number: u64) -> Enqueue {
    let base = ServerBase::new("https://github.com").unwrap();
    Enqueue {
        repo: Repo {
            name: RepoRef { base, project: ProjectPath::new("acme/api").unwrap() },
            kind: None,
            source: "https://github.com/acme/api.git".to_owned(),
        },
        number: Some(number),
        used_numbers: 0,
        new_issue: IssueId::new(Uuid::now_v7()),
        title: "fix it".to_owned(),
        pr_url: None,
        watch: None,
        task: Task::queued(
            TaskId::new(Uuid::now_v7()),
            TaskKind::Start,
            "opencode".to_owned(),
            "fix it".to_owned(),
            Timestamp::now(),
        ),
        precondition: Precondition::Idle,
        interrupt: false,
    }
}
