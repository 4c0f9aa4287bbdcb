//! Latency of commands, and of the start of a task.

use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kugetsu_testkit::eventually;

use crate::pueue;
use crate::report::{Report, ms};
use crate::setup::{Setup, median, timed};

const TIMES: usize = 41;
const EXECS: u32 = 15;
const FIRST_RECORD: &str = "from `kugetsu start` to the runner's first record";

/// How often a command that reads is measured.
const READS: usize = 21;

/// Measures commands that read a home with this load.
pub(crate) fn measure_reads(setup: &Setup, report: &mut Report, commands: &[&[&str]], load: &str) {
    let time = |args: &[&str]| median((0..READS).map(|_| timed(&mut setup.command(args))).collect());
    let version = time(&["version"]);
    for args in commands {
        let time = time(args);
        report.row(
            &format!("`kugetsu {}` with {load}", args.join(" ")),
            ms(time),
            format!("{} for `kugetsu version`; target: under 50 ms", ms(version)),
            Some(time.as_secs_f64() / version.as_secs_f64()),
        );
    }
}

pub(crate) fn measure(setup: &Setup, report: &mut Report) {
    let nothing = median((0..TIMES).map(|_| timed(&mut quiet("/bin/true"))).collect());
    let hello = hello(setup);
    // The first run creates the mirror for the others.
    setup.run(&["start", ".", "kugetsu-script: say hello", "--wait"]);
    setup.run(&["config", "set", "agents.max", "0"]);
    let starts: Vec<Duration> =
        (0..TIMES).map(|_| timed(&mut setup.command(&["start", ".", "kugetsu-script: say hello"]))).collect();
    let start = median(starts);
    let version = median((0..TIMES).map(|_| timed(&mut setup.command(&["version"]))).collect());
    let start_row = "`kugetsu start .` with a warm daemon and an existing mirror";
    report.row(start_row, ms(start), format!("{} for /bin/true", ms(nothing)), Some(ratio(start, nothing)));
    report.row(start_row, ms(start), format!("{} for a hello-world in Rust", ms(hello)), Some(ratio(start, hello)));
    report.row(start_row, ms(start), format!("{} for `kugetsu version`", ms(version)), Some(ratio(start, version)));
    let pueue = pueue::Pueue::start(setup);
    let without = || "pueue is not on PATH".to_owned();
    let added = pueue.as_ref().map(|pueue| median((0..TIMES).map(|_| timed(&mut pueue.add("true"))).collect()));
    let reference = added.map_or_else(without, |added| format!("{} for `pueue add`", ms(added)));
    report.row(start_row, ms(start), reference, added.map(|added| ratio(start, added)));
    let started = exec(setup, report, version);
    let first = pueue
        .as_ref()
        .map(|pueue| median((0..EXECS).map(|turn| pueue.time_to_first_instruction(turn, EXECS)).collect()));
    let reference =
        first.map_or_else(without, |first| format!("{} from `pueue add` to the task's first instruction", ms(first)));
    report.row(FIRST_RECORD, ms(started), reference, first.map(|first| ratio(started, first)));
    setup.run(&["config", "set", "agents.max", "3"]);
}

/// Time from the command to the runner's first record, which it writes after its exec.
fn exec(setup: &Setup, report: &mut Report, floor: Duration) -> Duration {
    setup.run(&["queue", "clean", "--older-than", "0s"]);
    setup.run(&["config", "set", "agents.max", "1000"]);
    setup.await_no_run();
    let mut times = Vec::new();
    for _ in 0..EXECS {
        let runs = || -> Vec<std::path::PathBuf> {
            std::fs::read_dir(setup.home.kugetsu().join("runs"))
                .unwrap()
                .map(|entry| entry.unwrap().path().join("records.jsonl"))
                .collect()
        };
        let before = runs();
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        setup.run(&["start", ".", "kugetsu-script: say hello"]);
        let first = eventually("the runner's first record", || {
            let new = runs().into_iter().find(|path| !before.contains(path))?;
            let text = std::fs::read_to_string(new).ok()?;
            let record: serde_json::Value = serde_json::from_str(text.lines().next()?).ok()?;
            record["at"].as_u64()
        });
        times.push(Duration::from_millis(first).saturating_sub(started));
        setup.await_no_run();
    }
    let time = median(times);
    report.row(FIRST_RECORD, ms(time), format!("{} for `kugetsu version`", ms(floor)), Some(ratio(time, floor)));
    time
}

/// The time of a program that only prints a line.
fn hello(setup: &Setup) -> Duration {
    let folder = setup.home.folder("hello");
    let (source, program) = (folder.join("hello.rs"), folder.join("hello"));
    std::fs::write(&source, "fn main() { println!(\"hello\"); }").unwrap();
    let built = Command::new("rustc").args(["-O", "-o"]).arg(&program).arg(&source).status().unwrap();
    assert!(built.success());
    median((0..TIMES).map(|_| timed(&mut quiet(program.to_str().unwrap()))).collect())
}

fn quiet(program: &str) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

pub(crate) fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
}
