//! What is there while nothing happens, and what a runner takes.

use std::time::Duration;

use kugetsu_testkit::eventually;

use crate::page::Page;
use crate::stage::Stage;

const WATCHED: Duration = Duration::from_secs(20);

pub(crate) fn rows(stage: &Stage, page: &mut Page) {
    let runner = runner(stage);
    page.row(
        "memory of a runner whose agent works",
        mib(runner),
        "aim: under 15 MiB".to_owned(),
        Some(runner as f64 / (15 << 20) as f64),
    );
    let daemon = stage.process("daemon run");
    stage.await_no_run();
    // Threads for work that is over end by themselves after ten seconds.
    std::thread::sleep(Duration::from_secs(12));
    let before = switches(daemon);
    std::thread::sleep(WATCHED);
    let woken = switches(daemon).saturating_sub(before);
    let memory = resident(daemon);
    page.row(
        "memory of the idle daemon",
        mib(memory),
        "aim: under 30 MiB".to_owned(),
        Some(memory as f64 / (30 << 20) as f64),
    );
    let seconds = WATCHED.as_secs();
    page.row(
        &format!("wake-ups of the idle daemon in {seconds} s, all threads"),
        woken.to_string(),
        "aim: 0".to_owned(),
        None,
    );
}

fn runner(stage: &Stage) -> u64 {
    stage.run(&["config", "set", "agents.max", "1000"]);
    stage.run(&[
        "start",
        ".",
        "kugetsu-script: say hello\nkugetsu-script: flood 1000000\nkugetsu-script: wait measured",
    ]);
    let runner = stage.process(" runner ");
    let records = stage.home.kugetsu().join("runs");
    eventually("the agent to be at work", || {
        let mut all = std::fs::read_dir(&records).ok()?;
        all.any(|run| {
            run.is_ok_and(|run| run.path().join("records.jsonl").metadata().is_ok_and(|file| file.len() > 1_000_000))
        })
        .then_some(())
    });
    let memory = resident(runner);
    let gates = stage.home.user().join(".local/share/kugetsu-scripted-agent/gates");
    std::fs::create_dir_all(&gates).unwrap();
    std::fs::write(gates.join("measured"), "").unwrap();
    memory
}

/// Bytes of memory that are the process's own or shared, as the kernel counts them.
pub(crate) fn resident(pid: i32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

/// How often the process's threads went to sleep and woke again.
fn switches(pid: i32) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    tasks
        .map(|task| {
            let text = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap();
            let line = text.lines().find(|line| line.starts_with("voluntary_ctxt_switches:")).unwrap();
            line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
        })
        .sum()
}

pub(crate) fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / (1 << 20) as f64)
}
