//! `kugetsu agents try` with a real agent.

use std::process::Stdio;

use kugetsu_testkit::model::script::Hang;
use kugetsu_testkit::{RealAgent, Script, Step, eventually_within};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::stage::{Stage, TIMEOUT, with_each_agent};
use crate::world::{World, shown};

const FILE: &str = "kugetsu-try.txt";
/// In the first message of the test.
const FIRST: &str = "Create the file";

/// The scratch directories that are left.
fn scratch(world: &World) -> Vec<String> {
    let entries = std::fs::read_dir(world.home.path().join("tmp")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("kugetsu-try-")).collect()
}

fn passes_its_test(agent: RealAgent) {
    let Some(stage) = Stage::new(agent) else { return };
    let Stage { world, model, .. } = &stage;
    let write = Step::write(FILE, "the first line\n");
    let commit = Step::bash("git add -A && git commit -qm first");
    model.name_script(FIRST, Script::new([write, commit, Step::Say("Done.".into())]));
    let second = Step::bash(&format!("echo the second line >> {FILE} && git commit -qam second"));
    model.name_script("Add this line to the end", Script::new([second, Step::Say("Done.".into())]));
    let output = world.attempt(["agents", "try", agent.name, "--json"]);
    let trial: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", shown(&output)));
    let steps = trial["steps"].as_array().unwrap();
    let names: Vec<&str> = steps.iter().map(|step| step["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["session", "answers", "commits", "continues", "tokens", "cost", "ends"]);
    assert!(steps.iter().all(|step| step["outcome"] == "ok"), "{trial}");
    assert_eq!((output.status.code(), &trial["kept"]), (Some(0), &Value::Null), "{trial}");
    assert_eq!(scratch(world), Vec::<String>::new());
    assert_eq!(world.processes(agent.program), Vec::<i32>::new());
}

fn leaves_nothing_when_interrupted(agent: RealAgent) {
    let Some(stage) = Stage::new(agent) else { return };
    let Stage { world, model, .. } = &stage;
    model.name_script(FIRST, Script::new([Step::write(FILE, "x\n"), Step::Hang(Hang { text: "and then".into() })]));
    let mut command = world.command(&world.home.user(), ["agents", "try", agent.name]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap();
    eventually_within(TIMEOUT, "the model to hang", || (model.turn_requests().len() >= 2).then_some(()));
    assert_eq!(scratch(world).len(), 1);
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
    let status = eventually_within(TIMEOUT, "the test to end", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(130), "{status}");
    assert_eq!(scratch(world), Vec::<String>::new());
    assert_eq!(world.processes(agent.program), Vec::<i32>::new());
    assert_eq!(world.processes("kugetsu-try-"), Vec::<i32>::new());
}

with_each_agent! {
    passes_its_test:
    needs_opencode_passes_its_test OPENCODE,
    needs_claude_passes_its_test CLAUDE,
}

with_each_agent! {
    leaves_nothing_when_interrupted:
    needs_opencode_test_leaves_nothing_when_interrupted OPENCODE,
    needs_claude_test_leaves_nothing_when_interrupted CLAUDE,
}
