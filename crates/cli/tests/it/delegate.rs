//! The coordinator: messages in, work begun on issues, one report out.

use kugetsu_testkit::Repository;
use serde_json::json;

use crate::world::{World, ended, shown};

/// What the coordinator is to do: start work in these repositories.
fn starting(repositories: &[&Repository], steps: &str) -> String {
    let calls: Vec<String> = repositories
        .iter()
        .map(|repository| {
            let message = format!("fix it\nkugetsu-script: {steps}");
            let arguments = json!({"issue": repository.path(), "message": message});
            json!({"call": {"tool": "kugetsu_start", "arguments": arguments}}).to_string()
        })
        .collect();
    format!(
        "see to it that both are mended\nkugetsu-script: [{}, {{\"say\": \"I began what you asked for.\"}}]",
        calls.join(", ")
    )
}

/// What one issue's agent is to do.
const WORK: &str = r#"[{"write": {"path": "fixed.txt", "text": "yes"}}, {"commit": "fix it"}]"#;

#[test]
fn c04_b03_a_message_leads_to_two_pushed_branches_and_one_report() {
    let world = World::new();
    let (one, two) = (world.repository("one"), world.repository("two"));
    let message = starting(&[&one, &two], WORK);
    let output = world.attempt(["delegate", &message, "--wait", "--json"]);
    let (delegated, code) = ended(&output);
    assert_eq!(code, 0, "{}", shown(&output));
    assert_eq!(delegated["over"], true, "{delegated}");
    let asked = delegated["asked"].as_array().unwrap();
    assert_eq!(asked.len(), 2, "{delegated}");
    for (run, repository) in asked.iter().zip([&one, &two]) {
        assert_eq!((run["state"].as_str(), run["pushed"].as_bool()), (Some("done"), Some(true)), "{run}");
        assert_eq!(repository.show_text(run["branch"].as_str().unwrap(), "fixed.txt"), "yes");
    }
    let tasks = delegated["tasks"].as_array().unwrap();
    let kinds: Vec<_> = tasks.iter().map(|task| task["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["delegate", "report"], "one report: {delegated}");
    let told = tasks[1]["message"].as_str().unwrap();
    for run in asked {
        let line =
            told.lines().find(|line| line.contains(run["issue"].as_str().unwrap())).expect("the issue is told of");
        assert!(line.contains("done") && line.contains(run["branch"].as_str().unwrap()), "{told}");
    }
    assert_eq!(tasks[0]["reason"], "I began what you asked for.", "the answer is what it said last");
    assert!(world.said("pm").contains("I began what you asked for."));
    assert!(world.json(["list", "--json"]).as_array().unwrap().iter().all(|run| run["issue"] != "pm"));
}
