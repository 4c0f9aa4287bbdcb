//! Memory and wake-ups of the idle daemon, and memory of a runner.

use std::time::Duration;

use kugetsu_testkit::eventually;

use crate::report::Report;
use crate::setup::Setup;

const WATCHED: Duration = Duration::from_secs(20);

pub(crate) fn measure(setup: &Setup, report: &mut Report) {
    let runner = runner(setup);
    report.row(
        "memory of a runner with a busy agent",
        mib(runner),
        "target: under 15 MiB".to_owned(),
        Some(runner as f64 / (15 << 20) as f64),
    );
    let daemon = setup.process("daemon run");
    setup.await_no_run();
    // Threads of finished work exit after ten seconds.
    std::thread::sleep(Duration::from_secs(12));
    let before = switches(daemon);
    std::thread::sleep(WATCHED);
    let woken = switches(daemon).saturating_sub(before);
    let memory = resident(daemon);
    report.row(
        "memory of the idle daemon",
        mib(memory),
        "target: under 30 MiB".to_owned(),
        Some(memory as f64 / (30 << 20) as f64),
    );
    let seconds = WATCHED.as_secs();
    report.row(
        &format!("wake-ups of the idle daemon in {seconds} s, all threads"),
        woken.to_string(),
        "target: 0".to_owned(),
        None,
    );
}

fn runner(setup: &Setup) -> u64 {
    setup.run(&["config", "set", "agents.max", "1000"]);
    setup.run(&[
        "start",
        ".",
        "kugetsu-script: say hello\nkugetsu-script: flood 1000000\nkugetsu-script: wait measured",
    ]);
    let runner = setup.process(" runner ");
    let records = setup.home.kugetsu().join("runs");
    eventually("the agent to be busy", || {
        let mut all = std::fs::read_dir(&records).ok()?;
        all.any(|run| {
            run.is_ok_and(|run| run.path().join("records.jsonl").metadata().is_ok_and(|file| file.len() > 1_000_000))
        })
        .then_some(())
    });
    let memory = resident(runner);
    let gates = setup.home.user().join(".local/share/kugetsu-scripted-agent/gates");
    std::fs::create_dir_all(&gates).unwrap();
    std::fs::write(gates.join("measured"), "").unwrap();
    memory
}

/// Resident memory in bytes (`VmRSS`).
pub(crate) fn resident(pid: i32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

/// Number of times that the process's threads went to sleep and woke up.
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
