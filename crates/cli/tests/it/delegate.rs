//! `delegate`: the coordinator starts work on issues and reports once.

use std::fs;
use std::process::Stdio;

use kugetsu_testkit::{Repository, eventually};
use serde_json::json;

use crate::run_endings::world_with_records;
use crate::world::{World, coordinator_message, ended, script, shown};

/// A call of the tool `kugetsu_start` in a repository.
fn start_in(repository: &Repository, steps: &str, after: Option<&str>) -> serde_json::Value {
    let message = format!("a part\nkugetsu-script: {steps}");
    json!({"call": {"tool": "kugetsu_start",
        "arguments": {"issue": repository.path(), "message": message, "after": after}}})
}

/// A message that makes the coordinator start work in these repositories.
fn starting(repositories: &[&Repository], steps: &str) -> String {
    let calls = repositories.iter().map(|repository| start_in(repository, steps, None));
    let calls: Vec<_> = calls.chain([json!({"say": "Started both tasks."})]).collect();
    coordinator_message("fix both", &calls)
}

/// The steps of an issue's agent.
const WORK: &str = r#"[{"write": {"path": "fixed.txt", "text": "yes"}}, {"commit": "fix it"}]"#;

#[test]
fn delegate_pushes_two_branches_and_reports_once() {
    let world = World::new();
    let (one, two) = (world.repository("one"), world.repository("two"));
    let message = starting(&[&one, &two], WORK);
    let output = world.attempt(["delegate", &message, "--wait", "--json"]);
    let (delegated, code) = ended(&output);
    assert_eq!(code, 0, "{}", shown(&output));
    assert_eq!(delegated["over"], true, "{delegated}");
    let runs = delegated["asked"].as_array().unwrap();
    assert_eq!(runs.len(), 2, "{delegated}");
    for (run, repository) in runs.iter().zip([&one, &two]) {
        assert_eq!((run["state"].as_str(), run["pushed"].as_bool()), (Some("done"), Some(true)), "{run}");
        assert_eq!(repository.show_text(run["branch"].as_str().unwrap(), "fixed.txt"), "yes");
    }
    let tasks = delegated["tasks"].as_array().unwrap();
    let kinds: Vec<_> = tasks.iter().map(|task| task["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["delegate", "report"], "one report: {delegated}");
    let report = tasks[1]["message"].as_str().unwrap();
    for run in runs {
        let line = report
            .lines()
            .find(|line| line.contains(run["issue"].as_str().unwrap()))
            .expect("the issue is in the report");
        assert!(line.contains("done") && line.contains(run["branch"].as_str().unwrap()), "{report}");
    }
    assert_eq!(tasks[0]["reason"], "Started both tasks.", "the reason is its last message");
    assert!(world.agent_text("pm").contains("Started both tasks."));
    assert!(world.json(["list", "--json"]).as_array().unwrap().iter().all(|run| run["issue"] != "pm"));
}

#[test]
fn delegated_messages_run_one_after_the_other() {
    let world = World::new();
    world.run(["delegate", &coordinator_message("first", &[json!({"wait": "go"}), json!({"say": "answer one"})])]);
    for n in 2..=4 {
        world.run(["delegate", &coordinator_message("more", &[json!({"say": format!("answer {n}")})])]);
    }
    let waiting = world.json(["queue", "list", "--json"]);
    let kinds: Vec<_> = waiting.as_array().unwrap().iter().map(|task| task["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["delegate"; 4], "{waiting}");
    world.kill_daemon();
    world.release_coordinator();
    let ended = eventually("all four to be done", || {
        let all = world.json(["queue", "list", "--all", "--json"]);
        let done = all.as_array().unwrap().iter().filter(|task| task["state"] == "done").count();
        if done == 4 { Ok(all) } else { Err(all) }
    });
    let answers: Vec<_> = ended.as_array().unwrap().iter().map(|task| task["reason"].as_str().unwrap()).collect();
    assert_eq!(answers, ["answer one", "answer 2", "answer 3", "answer 4"]);
    let sessions: std::collections::BTreeSet<_> =
        ended.as_array().unwrap().iter().map(|task| task["session_id"].as_str().unwrap()).collect();
    assert_eq!(sessions.len(), 1, "one session: {ended}");
    assert!(world.processes("scripted-agent").is_empty(), "an idle coordinator has no process");
}

#[test]
fn delegate_asks_before_it_touches_existing_work() {
    let world = World::new();
    let repository = world.repository("shop");
    world.start(&repository, &script(&["say done"]));
    let message = coordinator_message("add a test to local/shop#1", &[json!({"say": "noted"})]);
    let output = world.attempt(["delegate", &message]);
    assert_eq!(output.status.code(), Some(3), "{}", shown(&output));
    let stderr = String::from_utf8_lossy(&output.stderr);
    for part in ["local/shop#1", "is done", "--worktree local/shop#1", "--anyway"] {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
    world.run(["delegate", &message, "--worktree", "local/shop#1", "--wait"]);
    let prompt = |which: usize| world.records("pm", "prompt")[which]["text"].as_str().unwrap().to_owned();
    assert!(prompt(0).contains("the user chose local/shop#1"), "{}", prompt(0));
    world.run(["delegate", &message, "--anyway", "--wait"]);
    assert!(prompt(1).contains("did not say which"), "{}", prompt(1));

    let start = json!({"call": {"tool": "kugetsu_start", "arguments": {"issue": "local/shop#1", "message": "again"}}});
    world.run(["delegate", "--anyway", &coordinator_message("again", &[start]), "--wait"]);
    let tools = world.records("pm", "tool_ended");
    let refused = tools.last().unwrap();
    assert_eq!(refused["ok"], false, "{refused}");
    assert!(refused["output"].as_str().unwrap().contains("use `continue`"), "{refused}");
    assert_eq!(world.json(["queue", "list", "--all", "--json"]).as_array().unwrap().len(), 4, "no second task");
}

#[test]
fn coordinator_gets_known_and_missing_facts() {
    let world = World::new();
    let repository = world.repository("shop");
    repository.git(["remote", "add", "origin", "https://git.example.net/acme/shop.git"]);
    let message = coordinator_message(
        "look at #7, acme/other#3 and https://nowhere.example.org/a/b/issues/9",
        &[json!({"say": "ok"})],
    );
    world.run_in(repository.path(), ["delegate", &message, "--wait"]);
    let prompt = world.records("pm", "prompt")[0]["text"].as_str().unwrap().to_owned();
    for part in [
        "# You coordinate",
        "in the repository git.example.net/acme/shop",
        "- git.example.net/acme/shop#7: no work in progress",
        "acme/other#3: no work in progress",
        "- nowhere.example.org/a/b#9: no work in progress; its server is not configured",
    ] {
        assert!(prompt.contains(part), "{part}: {prompt}");
    }
    world.run(["delegate", &coordinator_message("what about #12?", &[json!({"say": "ok"})]), "--wait"]);
    let prompt = world.records("pm", "prompt")[1]["text"].as_str().unwrap().to_owned();
    assert!(prompt.contains("#12: the repository is missing"), "{prompt}");
    assert!(!prompt.contains("# You coordinate"), "the skill is sent once per session: {prompt}");
}

#[test]
fn env_file_of_the_coordinator_wins() {
    let world = World::new();
    world.run(["env", "set", "PLAIN", "for all"]);
    world.run(["env", "set", "PLAIN", "for the coordinator", "pm-agent"]);
    world.run(["env", "set", "GITEA_TOKEN", "s3cret-of-the-coordinator", "pm-agent"]);
    let steps = [json!({"env": "PLAIN"}), json!({"env": "GITEA_TOKEN"})];
    world.run(["delegate", &coordinator_message("say it", &steps), "--wait"]);
    let text = world.agent_text("pm");
    assert!(text.contains("PLAIN=for the coordinator"), "{text}");
    let all = world.run(["logs", "pm", "--json"]) + &world.run(["queue", "list", "--all", "--json"]);
    assert!(!all.contains("s3cret-of"), "{all}");
}

#[test]
fn destroying_the_coordinator_starts_a_new_session() {
    let world = World::new();
    world.run(["delegate", &coordinator_message("one", &[json!({"say": "one"})]), "--wait"]);
    let first = world.json(["queue", "show", "pm", "--json"])["session_id"].clone();
    assert_eq!(world.attempt(["destroy", "--pm-agent"]).status.code(), Some(3), "it needs confirmation");
    world.run(["destroy", "--pm-agent", "-y"]);
    assert!(world.run(["destroy", "--pm-agent", "-y"]).contains("has no session"));
    world.run(["delegate", &coordinator_message("two", &["history".into()]), "--wait"]);
    let second = world.json(["queue", "show", "pm", "--json"])["session_id"].clone();
    assert_ne!(first, second);
    assert!(world.agent_text("pm").contains("0 earlier prompts"), "{}", world.agent_text("pm"));
    world.run(["init"]);
    world.run(["destroy", "--base", "-y"]);
    assert!(!world.home.kugetsu().join("base/context.md").exists());
    assert!(world.run(["destroy", "--pm-agent", "-y"]).contains("has no session"), "--base removes it as well");
    assert!(world.home.kugetsu().join("skills/pm/SKILL.md").exists(), "the skill stays");
}

#[test]
fn coordinator_has_a_tool_for_each_permitted_action() {
    let world = World::new();
    let repository = world.repository("shop");
    world.start(&repository, &script(&["say I was here"]));
    let call = |tool: &str, arguments: serde_json::Value| json!({"call": {"tool": tool, "arguments": arguments}});
    let issue = json!({"issue": "local/shop#1"});
    let steps = [
        call("kugetsu_list", json!({})),
        call("kugetsu_show", issue.clone()),
        call("kugetsu_logs", issue.clone()),
        call("kugetsu_why", issue),
        call("kugetsu_queue", json!({})),
        call("kugetsu_continue", json!({"issue": "local/shop#1", "message": script(&["say more"])})),
        call("kugetsu_show", json!({"issue": "local/none#1"})),
        call("kugetsu_destroy", json!({"issue": "local/shop#1"})),
    ];
    world.run(["delegate", &coordinator_message("use them", &steps), "--anyway", "--wait"]);
    let tools = world.records("pm", "tool_ended");
    let answers: Vec<(bool, &str)> =
        tools.iter().map(|tool| (tool["ok"].as_bool().unwrap(), tool["output"].as_str().unwrap())).collect();
    for (at, ok, part) in [
        (0, true, "\"local/shop#1\""),
        (1, true, "\"kind\":\"start\""),
        (2, true, "I was here"),
        (3, true, "\"because\""),
        (4, true, "\"tasks\":[]"),
        (5, true, "\"state\":\"queued\""),
        (6, false, "local/none#1"),
        (7, false, "has no tool destroy"),
    ] {
        assert!(answers[at].0 == ok && answers[at].1.contains(part), "{at} {part}: {answers:?}");
    }
    let prompt = world.records("pm", "prompt").last().unwrap()["text"].as_str().unwrap().to_owned();
    assert!(prompt.contains("local/shop#1 (continue): done"), "it gets a report of the continued task: {prompt}");
}

#[test]
fn status_shows_the_coordinator_and_why_explains_its_state() {
    let world = World::new();
    world.run(["delegate", &coordinator_message("first", &[json!({"wait": "go"}), json!({"say": "all is well"})])]);
    world.run(["delegate", &coordinator_message("second", &[json!({"say": "again"})])]);
    eventually("the first to run", || {
        let status = world.run(["status"]);
        if status.contains("coordinator: running") { Ok(()) } else { Err(status) }
    });
    assert!(world.run(["status"]).contains("1 message queued"), "{}", world.run(["status"]));
    assert_eq!(world.json(["why", "pm", "--json"])["state"], "running");
    world.release_coordinator();
    eventually("both to be done", || {
        let status = world.run(["status"]);
        if status.contains("coordinator: done") && status.contains("again") { Ok(()) } else { Err(status) }
    });
    let wrong = world.attempt(["continue", "pm", "more"]);
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("kugetsu delegate"), "{}", shown(&wrong));
}

#[test]
fn failed_first_task_of_a_chain_is_reported() {
    let world = World::new();
    let (one, two) = (world.repository("one"), world.repository("two"));
    let steps =
        [start_in(&one, r#"[{"error": "boom"}]"#, None), start_in(&two, &script(&["say ok"]), Some("local/one#1"))];
    let output = world.attempt(["delegate", &coordinator_message("both", &steps), "--wait", "--json"]);
    let (delegated, code) = ended(&output);
    assert_eq!(code, 0, "{}", shown(&output));
    let report = delegated["tasks"][1]["message"].as_str().unwrap();
    let line = |issue: &str| report.lines().find(|line| line.starts_with(&format!("- {issue} "))).unwrap();
    assert!(line("local/one#1").contains("failed"), "{report}");
    assert!(line("local/two#1").contains("local/one#1 is failed, so it does not begin by itself"), "{report}");
    assert!(report.contains("> both"), "{report}");
    assert_eq!(world.json(["queue", "show", "local/two#1", "--json"])["state"], "queued", "it is kept");
}

#[test]
fn delegate_wait_ends_when_the_message_is_canceled() {
    let world = World::new();
    let repository = world.repository("one");
    let steps = [start_in(&repository, r#"[{"wait": "go"}]"#, None), json!({"wait": "never"})];
    let mut command =
        world.command(repository.path(), ["delegate", &coordinator_message("start it", &steps), "--wait"]);
    let waiting = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("the work to run", || {
        let all = world.json(["queue", "list", "--json"]);
        let running = |task: &serde_json::Value| task["issue"] == "local/one#1" && task["state"] == "running";
        if all.as_array().unwrap().iter().any(running) { Ok(()) } else { Err(all) }
    });
    world.run(["queue", "cancel", "pm"]);
    let output = waiting.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", shown(&output));
    assert!(shown(&output).contains("local/one#1 is running"), "{}", shown(&output));
}

#[test]
fn coordinators_session_does_not_name_an_issue() {
    let world = World::new();
    let repository = world.repository("one");
    world.run(["delegate", &coordinator_message("hello", &[json!({"say": "ok"})]), "--wait"]);
    let session = world.json(["queue", "show", "pm", "--json"])["session_id"].as_str().unwrap().to_owned();
    let start = ["start", repository.path().to_str().unwrap(), "x", "--after"];
    for arguments in [vec!["continue", &session, "more"], [&start[..], &[&session]].concat()] {
        let output = world.attempt(arguments);
        assert_eq!(output.status.code(), Some(2), "{}", shown(&output));
        assert!(shown(&output).contains("kugetsu delegate"), "{}", shown(&output));
    }
    let itself = json!({"call": {"tool": "kugetsu_continue", "arguments": {"issue": session, "message": "again"}}});
    world.run(["delegate", &coordinator_message("continue", &[itself]), "--wait"]);
    let refused = world.records("pm", "tool_ended");
    assert_eq!(refused[0]["ok"], false, "{refused:?}");
    assert_eq!(world.json(["queue", "list", "--all", "--json"]).as_array().unwrap().len(), 2);
}

#[test]
fn text_that_looks_like_an_issue_is_marked_uncertain() {
    let world = World::new();
    let message =
        coordinator_message("see src/lib.rs#12 and https://github.com/acme/api/issues/4", &[json!({"say": "ok"})]);
    world.run(["delegate", &message, "--wait"]);
    let prompt = world.records("pm", "prompt")[0]["text"].as_str().unwrap().to_owned();
    assert!(
        prompt.contains("src/lib.rs#12: may refer to github.com/src/lib.rs#12, which has no work in progress"),
        "{prompt}"
    );
    assert!(prompt.contains("- github.com/acme/api#4: no work in progress\n"), "{prompt}");
}

#[test]
fn report_in_a_new_session_repeats_the_message() {
    let world = World::new();
    let repository = world.repository("one");
    let steps = [start_in(&repository, r#"[{"wait": "go"}]"#, None), json!({"say": "started"})];
    world.run(["delegate", &coordinator_message("start it\nand mind the second line", &steps)]);
    let await_done = |kind: &str| {
        eventually("the coordinator", || {
            let task = world.json(["queue", "show", "pm", "--json"]);
            if task["kind"] == kind && task["state"] == "done" { Ok(task) } else { Err(task) }
        })
    };
    await_done("delegate");
    world.run(["destroy", "--pm-agent", "-y"]);
    world.await_state("local/one#1", "running");
    world.release_agents();
    let reported = await_done("report");
    assert!(reported["message"].as_str().unwrap().contains("> and mind the second line"), "{reported}");
}

#[test]
fn coordinator_can_restart_a_destroyed_issue() {
    let world = World::new();
    let forge = kugetsu_testkit::ForgeServer::gitea();
    let git = kugetsu_testkit::GitServer::start("secret");
    git.add_repository_from("acme/api", &Repository::with_commit());
    forge.serve_git(&git);
    forge.token("secret", "robot");
    world.run(["server", "add", "test", &forge.base_url(), "--kind", "gitea"]);
    world.run(["env", "set", "GITEA_TOKEN", "secret"]);
    let issue = format!("{}/acme/api#7", forge.base_url().trim_start_matches("http://"));
    world.run(["start", &issue, &script(&["say hm"]), "--wait"]);
    world.run(["destroy", &issue, "-y"]);
    let arguments = json!({"issue": issue, "message": script(&["say once more"])});
    let list = json!({"call": {"tool": "kugetsu_list", "arguments": {}}});
    let start = json!({"call": {"tool": "kugetsu_start", "arguments": arguments}});
    world.run(["delegate", "--anyway", &coordinator_message("again", &[list, start]), "--wait"]);
    let tools = world.records("pm", "tool_ended");
    assert!(tools[0]["output"].as_str().unwrap().contains("\"issues\":[]"), "what is gone is not listed: {tools:?}");
    assert_eq!(tools[1]["ok"], true, "{tools:?}");
    world.await_state(&issue, "done");
}

#[test]
fn changed_skill_is_sent_until_a_turn_succeeds() {
    let world = World::new();
    world.run(["init"]);
    world.run(["delegate", &coordinator_message("one", &[json!({"say": "one"})]), "--wait"]);
    std::fs::write(world.home.kugetsu().join("skills/pm/SKILL.md"), "Be kind.\n").unwrap();
    let failed =
        world.attempt(["delegate", &coordinator_message("two", &[json!({"error": "out of credit"})]), "--wait"]);
    assert_eq!(failed.status.code(), Some(1), "{}", shown(&failed));
    world.run(["delegate", &coordinator_message("three", &[json!({"say": "three"})]), "--wait"]);
    world.run(["delegate", &coordinator_message("four", &[json!({"say": "four"})]), "--wait"]);
    let prompts = world.records("pm", "prompt");
    let has_skill: Vec<bool> =
        prompts.iter().map(|prompt| prompt["text"].as_str().unwrap().contains("Be kind.")).collect();
    assert_eq!(has_skill, [false, true, true, false], "{prompts:#?}");
}

#[test]
fn coordinator_gets_the_login_that_doctor_finds_through_the_env_files() {
    let world = world_with_records("exit 1");
    let data = world.home.folder("data");
    fs::create_dir_all(data.join("opencode")).unwrap();
    let login = r#"{"acme": {"type": "api", "key": "k-123"}}"#;
    fs::write(data.join("opencode/auth.json"), login).unwrap();
    world.run(["env", "set", "XDG_DATA_HOME", data.to_str().unwrap()]);
    let checks = world.attempt(["doctor", "--offline", "--json"]);
    assert!(shown(&checks).contains("auth.json contains a login"), "{}", shown(&checks));
    let delegated = world.attempt(["delegate", "hello", "--wait"]);
    let copy = world.home.kugetsu().join("pm/agent/data/opencode/auth.json");
    assert_eq!(fs::read_to_string(copy).unwrap_or_default(), login, "{}", shown(&delegated));
}

#[test]
fn coordinator_gets_its_message_once_it_has_its_tools() {
    let mut world = World::new();
    world.home.set("KUGETSU_SCRIPTED_AGENT_ARGS", "--late-tools 3000");
    // The agent may need a moment after it has listed them.
    let message = script(&["slow 1000", "call kugetsu_list {}", "usage 0 10 20", "say listed"]);
    world.run(["delegate", &message, "--wait"]);
    let called = world.records("pm", "tool_ended");
    assert!(called.iter().any(|tool| tool["ok"] == true), "{called:?}");
}

#[test]
fn coordinator_without_its_tools_is_not_done() {
    let mut world = World::new();
    world.home.set("KUGETSU_SCRIPTED_AGENT_ARGS", "--no-tools");
    let output = world.attempt(["delegate", "how is it going", "--wait", "--json"]);
    let (delegated, code) = ended(&output);
    let task = &delegated["tasks"][0];
    assert_eq!((task["state"].as_str(), code), (Some("failed"), 1), "{delegated}");
    let reason = task["reason"].as_str().unwrap();
    assert!(reason.contains("did not load the coordinator's tools"), "{delegated}");
    assert!(task["hint"].as_str().unwrap().contains("kugetsu config set pm.agent"), "{delegated}");
}
