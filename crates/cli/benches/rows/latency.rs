//! How long a person waits, and how long a task does.

use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kugetsu_testkit::eventually;

use crate::page::{Page, ms};
use crate::pueue;
use crate::stage::{Stage, median, timed};

const TIMES: usize = 41;
const EXECS: u32 = 15;

pub(crate) fn rows(stage: &Stage, page: &mut Page) {
    let nothing = median((0..TIMES).map(|_| timed(&mut quiet("/bin/true"))).collect());
    let hello = hello(stage);
    // The mirror is made by the first run, so that the others find it.
    stage.run(&["start", ".", "kugetsu-script: say hello", "--wait"]);
    stage.run(&["config", "set", "agents.max", "0"]);
    let starts: Vec<Duration> =
        (0..TIMES).map(|_| timed(&mut stage.command(&["start", ".", "kugetsu-script: say hello"]))).collect();
    let start = median(starts);
    let version = median((0..TIMES).map(|_| timed(&mut stage.command(&["version"]))).collect());
    page.row(
        "`kugetsu start .` returns (warm daemon, mirror there)",
        ms(start),
        format!("{} for /bin/true", ms(nothing)),
        Some(ratio(start, nothing)),
    );
    page.row("the same", ms(start), format!("{} for a hello-world in Rust", ms(hello)), Some(ratio(start, hello)));
    page.row("the same", ms(start), format!("{} for `kugetsu version`", ms(version)), Some(ratio(start, version)));
    let pueue = pueue::Pueue::start(stage);
    let without = || "pueue is not on PATH".to_owned();
    let added = pueue.as_ref().map(|pueue| median((0..TIMES).map(|_| timed(&mut pueue.add("true"))).collect()));
    let beside = added.map_or_else(without, |added| format!("{} for `pueue add`", ms(added)));
    page.row("the same", ms(start), beside, added.map(|added| ratio(start, added)));
    let begun = exec(stage, page, version);
    let first = pueue
        .as_ref()
        .map(|pueue| median((0..EXECS).map(|turn| pueue.to_the_first_instruction(turn, EXECS)).collect()));
    let beside =
        first.map_or_else(without, |first| format!("{} from `pueue add` to the task's first instruction", ms(first)));
    page.row("the same", ms(begun), beside, first.map(|first| ratio(begun, first)));
    stage.run(&["config", "set", "agents.max", "3"]);
}

/// From the command to the runner's first word, which is after its exec.
fn exec(stage: &Stage, page: &mut Page, floor: Duration) -> Duration {
    stage.run(&["queue", "clean", "--older-than", "0s"]);
    stage.run(&["config", "set", "agents.max", "1000"]);
    stage.await_no_run();
    let mut times = Vec::new();
    for _ in 0..EXECS {
        let runs = || -> Vec<std::path::PathBuf> {
            std::fs::read_dir(stage.home.kugetsu().join("runs"))
                .unwrap()
                .map(|entry| entry.unwrap().path().join("records.jsonl"))
                .collect()
        };
        let before = runs();
        let begun = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        stage.run(&["start", ".", "kugetsu-script: say hello"]);
        let first = eventually("the runner's first word", || {
            let new = runs().into_iter().find(|path| !before.contains(path))?;
            let text = std::fs::read_to_string(new).ok()?;
            let record: serde_json::Value = serde_json::from_str(text.lines().next()?).ok()?;
            record["at"].as_u64()
        });
        times.push(Duration::from_millis(first).saturating_sub(begun));
        stage.await_no_run();
    }
    let time = median(times);
    page.row(
        "from `kugetsu start` to the runner's first word",
        ms(time),
        format!("{} for `kugetsu version`", ms(floor)),
        Some(ratio(time, floor)),
    );
    time
}

/// A program that does nothing but say hello.
fn hello(stage: &Stage) -> Duration {
    let folder = stage.home.folder("hello");
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
