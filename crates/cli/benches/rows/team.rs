//! The load of a team: two hundred finished issues and a thousand queued messages for the coordinator. Measures how long
//! commands take that list them, and whether finished work makes the daemon larger.

use std::time::{Duration, Instant};

use kugetsu_api::client::Client;
use kugetsu_api::delegate::DelegateRequest;
use kugetsu_api::endpoints;
use uuid::Uuid;

use crate::idle::{mib, resident};
use crate::latency::measure_reads;
use crate::report::Report;
use crate::setup::Setup;

const ISSUES: u64 = 200;
const WARM: u64 = 50;
const MESSAGES: usize = 1_000;
/// Limit for the preparation, which is not measured.
const TIMEOUT: Duration = Duration::from_secs(900);

pub(crate) fn measure(report: &mut Report) {
    let setup = Setup::new();
    setup.run(&["config", "set", "agents.max", "4"]);
    run_tasks(&setup, 1..=WARM);
    let daemon = setup.process("daemon run");
    let before = resident(daemon);
    run_tasks(&setup, WARM + 1..=ISSUES);
    let after = resident(daemon);
    report.row(
        &format!("memory of the daemon after {ISSUES} finished runs"),
        mib(after),
        format!("{} after {WARM}", mib(before)),
        Some(after as f64 / before as f64),
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(delegate(&setup));
    let full = resident(daemon);
    report.row(
        &format!("memory of the daemon with {MESSAGES} queued messages"),
        mib(full),
        format!("{} without", mib(after)),
        Some(full as f64 / after as f64),
    );
    let load = format!("{ISSUES} issues and {MESSAGES} queued messages");
    measure_reads(&setup, report, &[&["list"], &["queue", "list"], &["status"], &["why", "pm"]], &load);
}

/// Runs a task for each of these issues and waits for their end.
fn run_tasks(setup: &Setup, numbers: std::ops::RangeInclusive<u64>) {
    let last = *numbers.end() as usize;
    for number in numbers {
        setup.run(&["start", &format!("acme/api#{number}"), "kugetsu-script: say done"]);
    }
    let started = Instant::now();
    loop {
        let output = setup.command(&["list", "--json"]).stdout(std::process::Stdio::piped()).output().unwrap();
        let all: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
        if all.iter().filter(|run| run["state"] == "done").count() == last {
            return;
        }
        assert!(started.elapsed() < TIMEOUT, "the tasks do not end: {all:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Queues the messages. The first one keeps the coordinator busy, the others wait.
async fn delegate(setup: &Setup) {
    let mut client = Client::connect(&setup.socket()).await.unwrap();
    for number in 0..MESSAGES {
        let message = if number == 0 { "kugetsu-script: wait forever".to_owned() } else { format!("message {number}") };
        let request = DelegateRequest {
            task: Uuid::now_v7().to_string(),
            message,
            cwd: "/".to_owned(),
            worktree: None,
            anyway: true,
        };
        client.call(&endpoints::DELEGATE, &request).await.unwrap();
    }
}
