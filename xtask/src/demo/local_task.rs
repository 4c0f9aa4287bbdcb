//! `cargo xtask demo task`: a task goes in, a pushed branch comes out; then a message for the coordinator.

use std::time::Instant;

use super::stage::{Demo, build, run_to_end, say};
use crate::steps::Outcome;

/// The task for the agent. [`SCRIPT`] is the model's part in it.
const TASK: &str = "The greeting ignores the name: make test.sh pass";

/// The scripted model runs the test, fixes the bug and commits.
const SCRIPT: &str = r#"[
    {"tools": {"say": "Running the test first.", "calls": [{"bash": {"command": "sh test.sh; cat greet.sh", "description": "Run the test"}}]}},
    {"edit": {"path": "greet.sh", "old": "hello, $2", "new": "hello, $1"}},
    {"bash": {"command": "sh test.sh && git add -A && git commit -qm 'Greet the given name' && git log --oneline", "description": "Check and commit"}},
    {"say": "greet.sh took the name from its second argument. It uses the first one now, and test.sh passes."}
]"#;

/// The message for the coordinator.
const REQUEST: &str = "end the greeting of ~/demo with a full stop";

/// The model's part in the task that the coordinator starts.
const FULL_STOP: &str = r#"[{"edit": {"path": "greet.sh", "old": "hello, $2", "new": "hello, $2."}},
    {"bash": {"command": "git commit -qam 'End the greeting with a full stop'", "description": "Commit"}},
    {"say": "It ends with a full stop."}]"#;

/// The coordinator's report when the task has ended.
const REPORT: &str =
    "The greeting ends with a full stop. The change is pushed to the branch of local/demo#2; nothing is left to do.";

/// The files of the demo's repository.
const FILES: &[(&str, &str)] = &[
    ("README.md", "# demo\n\n`greet.sh NAME` prints a greeting. `test.sh` checks it.\n"),
    ("greet.sh", "echo \"hello, $2\"\n"),
    ("test.sh", "[ \"$(sh greet.sh world)\" = \"hello, world\" ] && echo passed || { echo FAILED; exit 1; }\n"),
];

/// A task of a local repository, and one of the coordinator.
pub(crate) fn run() -> Outcome {
    let started = Instant::now();
    build()?;
    let stage = Demo::new()?;
    let agent = stage.agent();
    let model = stage.start_model(REPORT)?;
    stage.set_up(&agent, &model, "")?;
    stage.create_repository(FILES)?;
    let mut daemon = stage.start_daemon()?;
    let result = play(&stage);
    daemon.stop();
    result?;
    say(&format!("finished in {:.1} s; all files are below {}", started.elapsed().as_secs_f64(), stage.home.display()));
    Ok(())
}

fn play(stage: &Demo) -> Outcome {
    let message = format!("{TASK}\nkugetsu-script: {}", one_line(SCRIPT));
    say("a task goes in");
    println!("    $ kugetsu start . \"{TASK}\" --wait");
    let mut start = stage.kugetsu(["start", ".", &message, "--wait"]);
    run_to_end("kugetsu start", &mut start)?;

    say("a branch comes out");
    stage.show(stage.git(["log", "--oneline", "--graph", "--all"]))?;
    say("the diff");
    stage.show(stage.git(["diff", "main...kugetsu/1-the-greeting-ignores-the-name-make-test"]))?;
    say("the end of the transcript");
    let logs = stage.kugetsu(["logs", "local/demo#1"]).output().map_err(|error| error.to_string())?;
    let logs = String::from_utf8_lossy(&logs.stdout).into_owned();
    let lines: Vec<&str> = logs.lines().collect();
    for line in &lines[lines.len().saturating_sub(24)..] {
        println!("    {line}");
    }
    say("a message for the coordinator, which starts a task with kugetsu's tools and reports the result");
    println!("    $ kugetsu delegate \"{REQUEST}\" --wait");
    let mut delegate = stage.kugetsu(["delegate", &request(stage), "--wait"]);
    run_to_end("kugetsu delegate", &mut delegate)?;
    say("the issues now");
    stage.show(stage.kugetsu(["list"]))
}

fn one_line(json: &str) -> String {
    json.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The message for the coordinator with the script of its model.
fn request(stage: &Demo) -> String {
    let message = format!("End the greeting with a full stop\nkugetsu-script: {}", one_line(FULL_STOP));
    let arguments = serde_json::json!({"issue": stage.repository, "message": message});
    let script = serde_json::json!([
        {"call": {"tool": "kugetsu_start", "arguments": arguments}},
        {"say": "I started the task and will report when it has ended."},
    ]);
    format!("{REQUEST}\nkugetsu-script: {script}")
}
