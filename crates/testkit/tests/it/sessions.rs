//! Sessions of the scripted agent: kept, loaded, resumed, listed and deleted, and how its start can fail.

use kugetsu_testkit::agent::{COST, MODELS};
use kugetsu_testkit::{Home, eventually};
use serde_json::{Value, json};

use crate::acp::{Agent, command};

fn started(home: &Home, args: &[&str]) -> Agent {
    let mut agent = Agent::start(home, args);
    agent.call("initialize", json!({"protocolVersion": 1})).unwrap();
    agent
}

fn texts(agent: &Agent, kind: &str) -> Vec<String> {
    agent.of_kind(kind).iter().map(|update| update["content"]["text"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn initialize_answers_as_opencode_does() {
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
fn a_loaded_session_repeats_its_history_and_goes_on() {
    let home = Home::new();
    let (mut agent, session) = Agent::with_session(&home, home.path());
    assert!(session.starts_with("ses_"));
    agent.prompt(&session, "say hello there\nrun echo hi").unwrap();
    assert!(agent.close().success());

    let mut agent = started(&home, &[]);
    agent.updates.clear();
    agent.call("session/load", json!({"sessionId": session, "cwd": "/", "mcpServers": []})).unwrap();
    assert_eq!(texts(&agent, "user_message_chunk"), ["say hello there\nrun echo hi"]);
    assert_eq!(texts(&agent, "agent_message_chunk"), ["hello there"]);
    assert_eq!(agent.of_kind("tool_call").len(), 1);
    assert_eq!(agent.of_kind("tool_call_update").len(), 1);
    agent.prompt(&session, "history\npwd").unwrap();
    let said = agent.said();
    assert!(said.starts_with("1 earlier prompt, the first: say hello there\n"), "{said}");
    assert!(said.ends_with(&format!("session {}\n", home.path().display())), "it stays in its own directory: {said}");
    let cost = agent.of_kind("usage_update")[0]["cost"]["amount"].as_f64().unwrap();
    assert!((cost - 2.0 * COST).abs() < 1e-9, "the cost is that of both turns: {cost}");
}

#[test]
fn a_resumed_session_goes_on_without_repeating() {
    let home = Home::new();
    let (mut agent, session) = Agent::with_session(&home, home.path());
    agent.prompt(&session, "history").unwrap();
    assert_eq!(agent.said(), "0 earlier prompts\n");
    agent.prompt(&session, "say two").unwrap();
    drop(agent);
    let mut agent = started(&home, &[]);
    agent.updates.clear();
    agent.call("session/resume", json!({"sessionId": session, "cwd": home.path(), "mcpServers": []})).unwrap();
    assert!(agent.updates.is_empty());
    agent.prompt(&session, "history").unwrap();
    assert_eq!(agent.said(), "2 earlier prompts, the first: history\n");
}

#[test]
fn a_session_that_is_lost_is_answered_in_opencodes_words() {
    let home = Home::new();
    let (agent, session) = Agent::with_session(&home, home.path());
    drop(agent);
    for (args, id) in [(&[][..], "ses_nobody"), (&["--lose-sessions"], session.as_str())] {
        let mut agent = started(&home, args);
        for method in ["session/load", "session/resume"] {
            let error = agent.call(method, json!({"sessionId": id, "cwd": home.path()})).unwrap_err();
            assert_eq!(error["data"], json!({"service": "session"}));
        }
        let error = agent.prompt(id, "say hi").unwrap_err();
        assert_eq!(error["message"], format!("Invalid params: session not found: {id}"));
    }
}

#[test]
fn sessions_are_listed_and_deleted_from_the_command_line() {
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
fn sessions_are_kept_where_the_environment_says() {
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
fn a_model_is_set_or_refused() {
    let home = Home::new();
    let (mut agent, session) = Agent::with_session(&home, home.path());
    agent.call("session/set_model", json!({"sessionId": session, "modelId": MODELS[1]})).unwrap();
    agent.prompt(&session, "model").unwrap();
    assert_eq!(agent.said(), format!("model {}", MODELS[1]));
    let option = |value: &str| json!({"sessionId": session, "configId": "model", "value": value});
    let answer = agent.call("session/set_config_option", option(MODELS[0])).unwrap();
    assert_eq!(answer["configOptions"][0]["currentValue"], MODELS[0]);
    let error = agent.call("session/set_config_option", option("mock/nope")).unwrap_err();
    assert_eq!(error["message"], "Invalid params: model not found: mock/nope");
}

#[test]
fn two_prompts_are_answered_one_after_the_other() {
    let home = Home::new();
    let (mut agent, session) = Agent::with_session(&home, home.path());
    let gate = home.path().join("gate");
    let first = agent.begin_prompt(&session, &format!("say a\nwait {}", gate.display()));
    agent.until_update(|update| update["content"]["text"] == "a");
    let second = agent.begin_prompt(&session, "say b");
    std::fs::write(gate, "").unwrap();
    agent.answer_to(first).unwrap();
    agent.answer_to(second).unwrap();
    assert_eq!(agent.said(), "b");
}

#[test]
fn the_start_can_fail_in_every_way() {
    let home = Home::new();
    let mut agent = started(&home, &["--needs-login"]);
    let new = json!({"cwd": home.path(), "mcpServers": []});
    assert_eq!(agent.call("session/new", new.clone()).unwrap_err()["code"], -32000);

    let mut agent = Agent::start(&home, &["--banner", "Welcome!", "--protocol-version", "2", "--slow-start", "1"]);
    assert_eq!(agent.call("initialize", json!({})).unwrap()["protocolVersion"], 2);
    assert_eq!(agent.garbage, ["Welcome!"]);

    // Hanging: it neither answers nor ends when its stdin does, so only a kill helps. `Agent` kills it.
    let mut agent = started(&home, &["--hang-at", "new"]);
    agent.request("session/new", new);
    assert_eq!(agent.child.try_wait().unwrap(), None);
}

#[test]
fn a_stubborn_agent_ignores_polite_ends() {
    let home = Home::new();
    let mut agent = started(&home, &["--stubborn"]);
    let pid = agent.child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(agent.call("session/list", json!({})).unwrap()["sessions"], Value::Array(Vec::new()));
}

#[test]
fn further_arguments_come_from_the_environment() {
    let mut home = Home::new();
    home.set(kugetsu_testkit::agent::arguments::EXTRA_ARGUMENTS, "--crash-at new");
    let mut agent = started(&home, &[]);
    agent.request("session/new", json!({"cwd": home.path()}));
    eventually("the crash", || agent.child.try_wait().unwrap());
    let version = home.run(command(&home).arg("--version"));
    assert_eq!(String::from_utf8(version.stdout).unwrap(), format!("{}\n", env!("CARGO_PKG_VERSION")));
}
