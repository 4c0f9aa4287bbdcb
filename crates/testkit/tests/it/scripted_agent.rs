//! The commands of the scripted agent.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;

use kugetsu_testkit::{Home, Repository, eventually};
use serde_json::json;

use crate::acp::{Agent, command, selected};
use crate::alive::is_alive;

fn repository_in(home: &Home) -> Repository {
    let repository = Repository::at(home.path().join("work tree"));
    repository.commit_files("First", &[("README.md", "hello\n")]);
    repository
}

#[test]
fn prompt_without_script_writes_and_commits() {
    let home = Home::new();
    let repository = repository_in(&home);
    let (mut agent, session) = Agent::with_session(&home, repository.path());
    let answer = agent.prompt(&session, "Please fix the bug.").unwrap();
    assert_eq!(answer["stopReason"], "end_turn");
    assert_eq!(answer["usage"], json!({"inputTokens": 100, "outputTokens": 20, "totalTokens": 120}));
    assert!(agent.text().contains("done.txt"));
    assert_eq!(repository.log("HEAD"), ["Do what prompt 1 asks", "First"]);
    assert_eq!(repository.show_text("HEAD", "done.txt"), format!("prompt 1 of {session}\n"));
    assert_eq!(repository.git(["log", "-1", "--format=%an"]), "Test Person");
    assert_eq!(agent.of_kind("usage_update")[0]["cost"], json!({"amount": 0.0006, "currency": "USD"}));
    assert!(agent.close().success());
}

#[test]
fn script_runs_in_order() {
    let home = Home::new();
    let repository = repository_in(&home);
    let (mut agent, session) = Agent::with_session(&home, repository.path());
    let script = json!([
        {"think": "Let me see."}, {"say": "Working on it."},
        {"write": {"path": "a/b.txt", "text": "one\n"}}, {"append": {"path": "a/b.txt", "text": "two\n"}},
        {"edit": {"path": "README.md", "old": "hello", "new": "goodbye"}},
        {"run": ["sh", "-c", "printf '%s' \"$0\"; pwd; exit 3", "a b;c"]}, {"commit": {"message": "All of it"}},
        {"usage": {"cost": 0.25, "input": 7, "output": 3}},
    ]);
    let prompt = format!("Issue text.\n> kugetsu-script: say old\n\nkugetsu-script: {script}\nThanks.");
    let answer = agent.prompt(&session, &prompt).unwrap();
    assert_eq!(answer["usage"]["totalTokens"], 10);
    assert_eq!(agent.text(), "Working on it.");
    assert_eq!(agent.of_kind("agent_thought_chunk").len(), 1);
    assert_eq!(repository.show_text("HEAD", "a/b.txt"), "one\ntwo\n");
    assert_eq!(repository.show_text("HEAD", "README.md"), "goodbye\n");
    assert_eq!(repository.log("HEAD")[0], "All of it");
    let completed =
        agent.of_kind("tool_call_update").into_iter().find(|update| update["rawOutput"]["metadata"]["exit"] == 3);
    let output = format!("a b;c{}\n", repository.path().display());
    assert_eq!(completed.unwrap()["rawOutput"]["output"], output);
    assert_eq!(agent.of_kind("usage_update")[0]["cost"]["amount"], 0.25);
}

#[test]
fn failing_command_is_a_failed_tool_and_the_turn_continues() {
    let home = Home::new();
    let repository = repository_in(&home);
    let (mut agent, session) = Agent::with_session(&home, repository.path());
    let answer = agent.prompt(&session, "commit Nothing\nrun exit 1\nwrite README.md/x y\nsay still here").unwrap();
    assert_eq!((answer["stopReason"].as_str(), agent.text().as_str()), (Some("end_turn"), "still here"));
    assert_eq!(agent.of_kind("tool_call_update").iter().filter(|update| update["status"] == "failed").count(), 2);
}

#[test]
fn invalid_script_fails_the_turn_with_the_reason() {
    let home = Home::new();
    let (mut agent, session) = Agent::with_session(&home, home.path());
    let error = agent.prompt(&session, "kugetsu-script: [{\"dance\": {}}]").unwrap_err();
    assert!(error["message"].as_str().unwrap().contains("dance"), "{error}");
    let error = agent.prompt(&session, "error no credit").unwrap_err();
    assert_eq!(error["message"], "Internal error: no credit");
}

#[test]
fn directories_and_variables_are_reported() {
    let mut home = Home::new();
    home.set("LETTERS", "a b");
    let folder = home.folder("elsewhere");
    let (mut agent, session) = Agent::with_session(&home, &folder);
    agent.prompt(&session, "pwd").unwrap();
    let text = agent.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], format!("process {}", home.user().display()));
    assert_eq!(lines[2], format!("session {}", folder.display()));
    agent.prompt(&session, "env LETTERS").unwrap();
    assert_eq!(agent.text(), "LETTERS=a b");
    agent.prompt(&session, "env NOTHING").unwrap();
    assert_eq!(agent.text(), "NOTHING is not set");
    agent.prompt(&session, "session").unwrap();
    assert_eq!(agent.text(), format!("session {session}"));
    agent.prompt(&session, "mcp").unwrap();
    assert_eq!(agent.text(), "[]");
}

#[test]
fn rejected_permission_ends_the_turn() {
    let home = Home::new();
    let (mut agent, session) = Agent::with_session(&home, home.path());
    let prompt = "permission rm -rf build\nsay done";
    assert_eq!(agent.prompt(&session, prompt).unwrap()["stopReason"], "end_turn");
    assert_eq!(agent.text(), "done");
    agent.permission = selected("reject");
    assert_eq!(agent.prompt(&session, prompt).unwrap()["stopReason"], "end_turn");
    assert_eq!(agent.text(), "");
    let failed = agent.updates.iter().find(|update| update["status"] == "failed").unwrap();
    assert!(failed["rawOutput"]["error"].as_str().unwrap().contains("rejected permission"));
}

#[test]
fn no_permission_is_requested_while_an_old_request_is_open() {
    let home = Home::new();
    let (mut agent, session) = Agent::with_session(&home, home.path());
    let prompt = agent.start_prompt(&session, "permission one");
    let question = agent.await_permission_request();
    agent.notify("session/cancel", json!({"sessionId": session}));
    assert_eq!(agent.await_response(prompt).unwrap()["stopReason"], "cancelled");
    let prompt = agent.start_prompt(&session, "permission two");
    agent.await_update(|update| update["sessionUpdate"] == "tool_call");
    agent.notify("session/cancel", json!({"sessionId": session}));
    assert_eq!(agent.await_response(prompt).unwrap()["stopReason"], "cancelled");
    assert_eq!(agent.permission_requests, 1, "no second request while the first is open");
    // After the old request is answered, the next one is sent.
    agent.send(&json!({"jsonrpc": "2.0", "id": question["id"], "result": {"outcome": {"outcome": "cancelled"}}}));
    agent.permission = selected("once");
    agent.prompt(&session, "permission three\nsay asked").unwrap();
    assert_eq!(agent.text(), "asked");
}

#[test]
fn cancel_ends_a_hang_and_kills_the_running_program() {
    let home = Home::new();
    let (mut agent, session) = Agent::with_session(&home, home.path());
    let prompt = agent.start_prompt(&session, "hang");
    agent.notify("session/cancel", json!({"sessionId": session}));
    assert_eq!(agent.await_response(prompt).unwrap()["stopReason"], "cancelled");
    let prompt = agent.start_prompt(&session, "run sleep 600 & echo $! > pid; wait");
    let pid = read_pid(home.path().join("pid"));
    agent.notify("session/cancel", json!({"sessionId": session}));
    assert_eq!(agent.await_response(prompt).unwrap()["stopReason"], "cancelled");
    eventually("the end of the program", || !is_alive(pid));
}

#[test]
fn orphan_survives_the_agent() {
    let home = Home::new();
    let (mut agent, session) = Agent::with_session(&home, home.path());
    agent.prompt(&session, "orphan left.pid").unwrap();
    let pid = read_pid(home.path().join("left.pid"));
    assert_eq!(agent.text(), format!("orphan {pid}"));
    assert!(agent.close().success());
    assert!(is_alive(pid));
    #[cfg(target_os = "linux")]
    {
        assert_eq!(std::fs::read(format!("/proc/{pid}/environ")).unwrap(), b"");
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let session: i32 = stat.rsplit(") ").next().unwrap().split(' ').nth(3).unwrap().parse().unwrap();
        assert_eq!(session, pid, "it leads its own session");
        home.kill_processes();
        assert!(!is_alive(pid));
    }
    #[cfg(not(target_os = "linux"))]
    std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
}

#[test]
fn wait_blocks_until_the_file_exists() {
    let home = Home::new();
    let (mut agent, session) = Agent::with_session(&home, home.path());
    let gate = home.path().join("gate");
    let prompt = agent.start_prompt(&session, &format!("say before\nwait {}\nsay after", gate.display()));
    agent.await_update(|update| update["content"]["text"] == "before");
    assert_eq!(agent.text(), "before");
    std::fs::write(gate, "").unwrap();
    agent.await_response(prompt).unwrap();
    assert_eq!(agent.text(), "beforeafter");
}

#[test]
fn floods_garbage_and_stderr_are_sent() {
    let home = Home::new();
    let mut command = command(&home);
    let noise = home.path().join("noise");
    command.stderr(std::fs::File::create(&noise).unwrap());
    let mut agent = Agent::spawn(command);
    agent.call("initialize", json!({})).unwrap();
    let session =
        agent.call("session/new", json!({"cwd": home.path()})).unwrap()["sessionId"].as_str().unwrap().to_owned();
    agent.prompt(&session, "flood 20000\ngarbage\nunknown\nstderr oh no\nflood-stderr 1000\nsay end").unwrap();
    assert_eq!(agent.text().len(), 20_003);
    assert!(agent.garbage.contains(&"this is not JSON".to_owned()) && agent.garbage.len() >= 5);
    assert_eq!(std::fs::read_to_string(noise).unwrap(), format!("oh no\n{}", "x".repeat(1000)));
    agent.prompt(&session, "giant 300000").unwrap();
    assert_eq!(agent.of_kind("agent_message_chunk").len(), 1);
}

#[test]
fn turns_end_with_the_scripted_stop_reason() {
    let home = Home::new();
    let (mut agent, session) = Agent::with_session(&home, home.path());
    for (command, reason) in
        [("refuse", "refusal"), ("max_tokens", "max_tokens"), ("max_turn_requests", "max_turn_requests")]
    {
        assert_eq!(agent.prompt(&session, command).unwrap()["stopReason"], reason);
    }
}

#[test]
fn agent_exits_and_crashes_as_scripted() {
    let home = Home::new();
    let (mut agent, session) = Agent::with_session(&home, home.path());
    agent.start_prompt(&session, "exit 7");
    assert_eq!(agent.wait().code(), Some(7));
    let (mut agent, session) = Agent::with_session(&home, home.path());
    agent.start_prompt(&session, "crash");
    assert_eq!(agent.wait().signal(), Some(9));
    let mut agent = Agent::start(&home, &["--crash-at", "initialize"]);
    agent.request("initialize", json!({}));
    assert_eq!(agent.wait().signal(), Some(9));
}

fn read_pid(file: PathBuf) -> i32 {
    eventually("the file with the process id", || std::fs::read_to_string(&file).ok()?.trim().parse().ok())
}
