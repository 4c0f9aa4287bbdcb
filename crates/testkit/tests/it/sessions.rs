//! Sessions of the scripted agent: storing, loading, resuming, listing and deleting them, and failures at the start.

use kugetsu_testkit::agent::{COST, MODELS};
use kugetsu_testkit::{Home, eventually};
use serde_json::{Value, json};

use crate::acp::{Agent, command};

fn initialized(home: &Home, args: &[&str]) -> Agent {
    let mut agent = Agent::start(home, args);
    agent.call("initialize", json!({"protocolVersion": 1})).unwrap();
    agent
}

fn texts(agent: &Agent, kind: &str) -> Vec<String> {
    agent.of_kind(kind).iter().map(|update| update["content"]["text"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn initialize_answers_like_opencode() {
    let home = Home::new();
    let mut agent = Agent::start(&home, &["--pretend-version", "1.2.3", "--no-resume"]);
    let answer = agent.call("initialize", json!({"protocolVersion": 1})).unwrap();
    assert_eq!(answer["protocolVersion"], 1);
    assert_eq!(answer["agentCapabilities"]["loadSession"], true);
    assert_eq!(answer["agentCapabilities"]["sessionCapabilities"], json!({"close": {}, "list": {}}));
    assert_eq!(answer["agentInfo"]["version"], "1.2.3");
    let error = agent.call("session/resume", json!({"sessionId": "ses_1", "cwd": "/"})).unwrap_err();
    assert_eq!(error["code"], -32601);
}

#[test]
fn loaded_session_replays_its_history_and_continues() {
    let home = Home::new();
    let (mut agent, session) = Agent::with_session(&home, home.path());
    assert!(session.starts_with("ses_"));
    agent.prompt(&session, "say hello there\nrun echo hi").unwrap();
    assert!(agent.close().success());

    let mut agent = initialized(&home, &[]);
    agent.updates.clear();
    agent.call("session/load", json!({"sessionId": session, "cwd": "/", "mcpServers": []})).unwrap();
    assert_eq!(texts(&agent, "user_message_chunk"), ["say hello there\nrun echo hi"]);
    assert_eq!(texts(&agent, "agent_message_chunk"), ["hello there"]);
    assert_eq!(agent.of_kind("tool_call").len(), 1);
    assert_eq!(agent.of_kind("tool_call_update").len(), 1);
    agent.prompt(&session, "history\npwd").unwrap();
    let text = agent.text();
    assert!(text.starts_with("1 earlier prompt, the first: say hello there\n"), "{text}");
    assert!(text.ends_with(&format!("session {}\n", home.path().display())), "it keeps its directory: {text}");
    let cost = agent.of_kind("usage_update")[0]["cost"]["amount"].as_f64().unwrap();
    assert!((cost - 2.0 * COST).abs() < 1e-9, "the cost is that of both turns: {cost}");
}

#[test]
fn resumed_session_continues_without_replay() {
    let home = Home::new();
    let (mut agent, session) = Agent::with_session(&home, home.path());
    agent.prompt(&session, "history").unwrap();
    assert_eq!(agent.text(), "0 earlier prompts\n");
    agent.prompt(&session, "say two").unwrap();
    drop(agent);
    let mut agent = initialized(&home, &[]);
    agent.updates.clear();
    agent.call("session/resume", json!({"sessionId": session, "cwd": home.path(), "mcpServers": []})).unwrap();
    assert!(agent.updates.is_empty());
    agent.prompt(&session, "history").unwrap();
    assert_eq!(agent.text(), "2 earlier prompts, the first: history\n");
}

#[test]
fn lost_session_is_answered_with_opencodes_error() {
    let home = Home::new();
    let (agent, session) = Agent::with_session(&home, home.path());
    drop(agent);
    for (args, id) in [(&[][..], "ses_unknown"), (&["--lose-sessions"], session.as_str())] {
        let mut agent = initialized(&home, args);
        for method in ["session/load", "session/resume"] {
            let error = agent.call(method, json!({"sessionId": id, "cwd": home.path()})).unwrap_err();
            assert_eq!(error["data"], json!({"service": "session"}));
        }
        let error = agent.prompt(id, "say hi").unwrap_err();
        assert_eq!(error["message"], format!("Invalid params: session not found: {id}"));
    }
}

#[test]
fn command_line_lists_and_deletes_sessions() {
    let home = Home::new();
    let (mut agent, session) = Agent::with_session(&home, home.path());
    let listed = agent.call("session/list", json!({"cwd": home.path()})).unwrap();
    assert_eq!(listed["sessions"][0]["sessionId"], session);
    assert_eq!(agent.call("session/list", json!({"cwd": "/nowhere"})).unwrap()["sessions"], json!([]));
    drop(agent);
    let list = || String::from_utf8(home.run(command(&home).args(["session", "list"])).stdout).unwrap();
    assert_eq!(list(), format!("{session}\t{}\n", home.path().display()));
    assert!(home.run(command(&home).args(["session", "delete", &session])).status.success());
    assert_eq!(list(), "");
    let again = home.run(command(&home).args(["session", "delete", &session]));
    assert_eq!(again.status.code(), Some(1));
    assert_eq!(String::from_utf8(again.stderr).unwrap(), format!("Session not found: {session}\n"));
}

#[test]
fn sessions_are_stored_in_the_directory_of_the_environment() {
    let mut home = Home::new();
    let (_agent, session) = Agent::with_session(&home, home.path());
    let file = format!("{session}.jsonl");
    assert!(home.user().join(".local/share/kugetsu-scripted-agent").join(&file).exists());
    let state = home.folder("state");
    home.set(kugetsu_testkit::agent::arguments::STATE, &state);
    let (_agent, session) = Agent::with_session(&home, home.path());
    assert!(state.join(format!("{session}.jsonl")).exists());
}

#[test]
fn unknown_models_are_refused() {
    let home = Home::new();
    let (mut agent, session) = Agent::with_session(&home, home.path());
    agent.call("session/set_model", json!({"sessionId": session, "modelId": MODELS[1]})).unwrap();
    agent.prompt(&session, "model").unwrap();
    assert_eq!(agent.text(), format!("model {}", MODELS[1]));
    let option = |value: &str| json!({"sessionId": session, "configId": "model", "value": value});
    let answer = agent.call("session/set_config_option", option(MODELS[0])).unwrap();
    assert_eq!(answer["configOptions"][0]["currentValue"], MODELS[0]);
    let error = agent.call("session/set_config_option", option("mock/nope")).unwrap_err();
    assert_eq!(error["message"], "Invalid params: model not found: mock/nope");
}

#[test]
fn prompts_of_a_session_run_one_after_the_other() {
    let home = Home::new();
    let (mut agent, session) = Agent::with_session(&home, home.path());
    let gate = home.path().join("gate");
    let first = agent.start_prompt(&session, &format!("say a\nwait {}", gate.display()));
    agent.await_update(|update| update["content"]["text"] == "a");
    let second = agent.start_prompt(&session, "say b");
    std::fs::write(gate, "").unwrap();
    agent.await_response(first).unwrap();
    agent.await_response(second).unwrap();
    assert_eq!(agent.text(), "b");
}

#[test]
fn start_fails_as_requested() {
    let home = Home::new();
    let mut agent = initialized(&home, &["--needs-login"]);
    let new = json!({"cwd": home.path(), "mcpServers": []});
    assert_eq!(agent.call("session/new", new.clone()).unwrap_err()["code"], -32000);

    let mut agent = Agent::start(&home, &["--banner", "Welcome!", "--protocol-version", "2", "--slow-start", "1"]);
    assert_eq!(agent.call("initialize", json!({})).unwrap()["protocolVersion"], 2);
    assert_eq!(agent.garbage, ["Welcome!"]);

    // It neither answers nor ends with its stdin. `Agent` kills it.
    let mut agent = initialized(&home, &["--hang-at", "new"]);
    agent.request("session/new", new);
    assert_eq!(agent.child.try_wait().unwrap(), None);
}

#[test]
fn stubborn_agent_ignores_sigterm() {
    let home = Home::new();
    let mut agent = initialized(&home, &["--stubborn"]);
    let pid = agent.child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(agent.call("session/list", json!({})).unwrap()["sessions"], Value::Array(Vec::new()));
}

#[test]
fn extra_arguments_come_from_the_environment() {
    let mut home = Home::new();
    home.set(kugetsu_testkit::agent::arguments::EXTRA_ARGUMENTS, "--crash-at new");
    let mut agent = initialized(&home, &[]);
    agent.request("session/new", json!({"cwd": home.path()}));
    eventually("the crash", || agent.child.try_wait().unwrap());
    let version = home.run(command(&home).arg("--version"));
    assert_eq!(String::from_utf8(version.stdout).unwrap(), format!("{}\n", env!("CARGO_PKG_VERSION")));
}
