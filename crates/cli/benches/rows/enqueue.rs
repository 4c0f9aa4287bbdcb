//! Tasks that the daemon accepts per second, and whether a long queue makes it slower.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kugetsu_api::client::Client;
use kugetsu_api::endpoints;
use kugetsu_api::task::TaskRequest;
use uuid::Uuid;

use crate::report::{Report, ms};
use crate::setup::{Setup, median, timed};

const CLIENTS: usize = 8;
const MEASURED: u64 = 10_000;

pub(crate) fn measure(report: &mut Report) {
    let setup = Setup::new();
    setup.run(&["config", "set", "agents.max", "0"]);
    setup.run(&["start", "acme/api#1", "first"]);
    let next = Arc::new(AtomicU64::new(2));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let socket = setup.socket();
    let mut first = None;
    for queued in [0, 10_000, 100_000] {
        let present = next.load(Ordering::Relaxed);
        if queued > present {
            runtime.block_on(enqueue(&socket, &next, queued - present));
        }
        let started = Instant::now();
        runtime.block_on(enqueue(&socket, &next, MEASURED));
        let rate = MEASURED as f64 / started.elapsed().as_secs_f64();
        let empty = first.get_or_insert(rate);
        report.row(
            &format!("tasks accepted per second, {CLIENTS} clients, {queued} queued"),
            format!("{rate:.0}"),
            format!("{empty:.0} with an empty queue; target: 10,000"),
            Some(rate / *empty),
        );
        if queued == 0 {
            let list =
                median((0..9).map(|_| timed(&mut setup.command(&["list", "--json"]))).collect::<Vec<Duration>>());
            let version = median((0..9).map(|_| timed(&mut setup.command(&["version"]))).collect());
            let ratio = list.as_secs_f64() / version.as_secs_f64();
            report.row(
                "`kugetsu list --json` at 10,000 issues",
                ms(list),
                format!("{} for `kugetsu version`", ms(version)),
                Some(ratio),
            );
        }
    }
}

/// Queues `count` tasks for different issues.
async fn enqueue(socket: &Path, next: &Arc<AtomicU64>, count: u64) {
    let end = next.load(Ordering::Relaxed) + count;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (socket, next) = (socket.to_owned(), Arc::clone(next));
            tokio::spawn(async move {
                let mut client = Client::connect(&socket).await.unwrap();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= end {
                        return;
                    }
                    let request = TaskRequest {
                        task: Uuid::now_v7().to_string(),
                        reference: format!("https://github.com/acme/api/issues/{number}"),
                        cwd: "/".to_owned(),
                        message: Some("fix it".to_owned()),
                        ..TaskRequest::default()
                    };
                    client.call(&endpoints::QUEUE_TASK, &request).await.unwrap();
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    next.store(end, Ordering::Relaxed);
}
