//! A team's night: two hundred issues that were worked on, a thousand messages for the coordinator, and what a person
//! waits for who looks at them. And whether finished work makes the daemon larger.

use std::time::{Duration, Instant};

use kugetsu_api::client::Client;
use kugetsu_api::delegate::DelegateRequest;
use kugetsu_api::path;
use kugetsu_api::task::TaskObject;
use uuid::Uuid;

use crate::idle::{mib, resident};
use crate::page::{Page, ms};
use crate::stage::{Stage, median, timed};

const ISSUES: u64 = 200;
const WARM: u64 = 50;
const MESSAGES: usize = 1_000;
const TIMES: usize = 21;
/// Work may take long here; nothing of it is measured.
const PATIENCE: Duration = Duration::from_secs(900);

pub(crate) fn rows(page: &mut Page) {
    let stage = Stage::new();
    stage.run(&["config", "set", "agents.max", "4"]);
    work(&stage, 1..=WARM);
    let daemon = stage.process("daemon run");
    let before = resident(daemon);
    work(&stage, WARM + 1..=ISSUES);
    let after = resident(daemon);
    page.row(
        &format!("memory of the daemon after {ISSUES} finished runs"),
        mib(after),
        format!("{} after {WARM}", mib(before)),
        Some(after as f64 / before as f64),
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(delegate(&stage));
    let full = resident(daemon);
    page.row(
        &format!("memory of the daemon with {MESSAGES} messages in line"),
        mib(full),
        format!("{} without", mib(after)),
        Some(full as f64 / after as f64),
    );
    let version = median((0..TIMES).map(|_| timed(&mut stage.command(&["version"]))).collect());
    for args in [&["list"][..], &["queue", "list"], &["status"], &["why", "pm"]] {
        let time = median((0..TIMES).map(|_| timed(&mut stage.command(args))).collect());
        page.row(
            &format!("`kugetsu {}` with {ISSUES} issues and {MESSAGES} messages in line", args.join(" ")),
            ms(time),
            format!("{} for `kugetsu version`; aim: under 50 ms", ms(version)),
            Some(time.as_secs_f64() / version.as_secs_f64()),
        );
    }
}

/// Works on these issues to their end.
fn work(stage: &Stage, numbers: std::ops::RangeInclusive<u64>) {
    let last = *numbers.end() as usize;
    for number in numbers {
        stage.run(&["start", &format!("acme/api#{number}"), "kugetsu-script: say done"]);
    }
    let begun = Instant::now();
    loop {
        let output = stage.command(&["list", "--json"]).stdout(std::process::Stdio::piped()).output().unwrap();
        let all: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
        if all.iter().filter(|run| run["state"] == "done").count() == last {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "the work does not end: {all:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The first message keeps the coordinator busy; the others wait.
async fn delegate(stage: &Stage) {
    let mut client = Client::connect(&stage.socket()).await.unwrap();
    for number in 0..MESSAGES {
        let message =
            if number == 0 { "kugetsu-script: wait for ever".to_owned() } else { format!("message {number}") };
        let request = DelegateRequest {
            task: Uuid::now_v7().to_string(),
            message,
            cwd: "/".to_owned(),
            worktree: None,
            anyway: true,
        };
        let _: TaskObject = client.post(path::DELEGATE, &request).await.unwrap();
    }
}
