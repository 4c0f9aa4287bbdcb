//! Transcripts as people read them.

use crate::world::{World, script, shown};

/// An issue with two runs.
fn two_runs(world: &World) {
    let repository = world.repository("demo");
    world.start(&repository, &script(&["say one", "run printf 'a\\nb c\\n'", "run echo oh no >&2; exit 3"]));
    world.run(["continue", "local/demo#1", &script(&["say two", "say three"]), "--wait"]);
}

#[test]
fn logs_show_times_and_the_lines_of_tools() {
    let world = World::new();
    two_runs(&world);
    let text = world.run(["logs", "local/demo#1"]);
    let has_time = |line: &str| {
        line.get(..8).is_some_and(|time| time.parse::<jiff::civil::Time>().is_ok() && time.matches(':').count() == 2)
    };
    let date = text.lines().next().unwrap();
    assert!(date.parse::<jiff::civil::Date>().is_ok(), "{text}");
    let tool = text.lines().position(|line| line.contains("▸ printf")).unwrap();
    let lines: Vec<&str> = text.lines().skip(tool).take(3).collect();
    assert!(has_time(lines[0]) && has_time(lines[1]) && !has_time(lines[2]), "{text}");
    assert!(lines[1].ends_with("   a") && lines[2].ends_with("   b c"), "{text}");
    assert!(text.contains("✗ oh no\n") && text.contains("           exit code 3\n"), "{text}");
    assert!(text.lines().any(|line| has_time(line) && line.contains("■ done")), "{text}");
}

#[test]
fn logs_of_a_run_that_the_issue_does_not_have_fail_with_a_hint() {
    let world = World::new();
    two_runs(&world);
    let (other, _) = world.start(&world.repository("other"), &script(&["say hello"]));
    for (run, message) in [("bogus", "is not the ID of a run"), (other["run"].as_str().unwrap(), "has no run")] {
        let failed = world.attempt(["logs", "local/demo#1", "--run", run]);
        let text = shown(&failed);
        assert_eq!(failed.status.code(), Some(2), "{text}");
        assert!(text.contains(message) && text.contains("hint: ") && text.contains("--run last"), "{text}");
    }
}

#[test]
fn logs_select_lines_times_and_runs() {
    let world = World::new();
    two_runs(&world);
    let logs = |args: &[&str]| world.run([&["logs", "local/demo#1"], args].concat());
    let last = logs(&["-n", "1"]);
    assert!(last.lines().count() == 2 && last.contains("■ done"), "a date and a line: {last}");
    assert_eq!(logs(&["-n", "3", "--json"]).lines().count(), 3);
    let followed = logs(&["-n", "1", "-f"]);
    assert_eq!(followed, last, "no more follows");
    let run = logs(&["--run", "last"]);
    assert!(run.contains("twothree") && !run.contains("say one"), "{run}");
    let first = world.json(["list", "--json"])[0]["run"].as_str().unwrap().to_owned();
    assert_eq!(logs(&["--run", &first]), run, "by its ID");
    assert!(run.contains(&format!("· run {first}\n")), "{run}");
    assert!(world.run(["queue", "show", "local/demo#1"]).contains(&first));
    let runs = logs(&[]).lines().filter(|line| line.contains("· run ")).count();
    assert_eq!(runs, 2, "every run has its ID");
    assert!(logs(&["--since", "1h"]).contains("one"));
    assert_eq!(logs(&["--since", "2099-01-01T00:00:00Z"]), "");
    for wrong in [["--since", "yesterday"], ["--run", "first"]] {
        let output = world.attempt(["logs", "local/demo#1", wrong[0], wrong[1]]);
        assert_eq!(output.status.code(), Some(2), "{}", shown(&output));
    }
}

#[test]
fn waiting_shows_what_the_agent_says() {
    let world = World::new();
    let repository = world.repository("demo");
    let steps = script(&["say hello there", "run true", "say and goodbye"]);
    let output = world.try_in(repository.path(), ["start", ".", &steps, "--wait"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("\nhello there\n") && stderr.contains("\nand goodbye\n"), "{}", shown(&output));
}
