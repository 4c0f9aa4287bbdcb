//! The real opencode with the model server.

use std::path::PathBuf;

use kugetsu_testkit::{Home, ModelServer, Repository, Script, Step};
use serde_json::json;

use crate::acp::Agent;

/// The program that `KUGETSU_OPENCODE` names.
fn opencode() -> Option<PathBuf> {
    let path = std::env::var_os("KUGETSU_OPENCODE").map(PathBuf::from);
    if path.is_none() {
        assert!(std::env::var_os("CI").is_none(), "KUGETSU_OPENCODE must be set if CI is set");
        eprintln!("skipped: KUGETSU_OPENCODE is not set");
    }
    path
}

#[test]
fn needs_opencode_to_use_the_model_server() {
    let Some(opencode) = opencode() else { return };
    let mut home = Home::new();
    let server = ModelServer::start(Script::say("the default"));
    for (name, value) in server.opencode_env() {
        home.set(name, value);
    }
    let repository = Repository::at(home.path().join("tree"));
    repository.commit_files("First", &[("README.md", "hello\n")]);
    let script = Script::new([
        Step::write("made.txt", "made\n"),
        Step::edit("made.txt", "made", "changed"),
        Step::bash("git add . && git commit -qm Made"),
        Step::Say("All done.".into()),
    ]);

    let mut command = home.command(opencode);
    command.arg("acp");
    let mut agent = Agent::spawn(command);
    agent.call("initialize", json!({"protocolVersion": 1, "clientCapabilities": {}})).unwrap();
    let new = agent.call("session/new", json!({"cwd": repository.path(), "mcpServers": []})).unwrap();
    let session = new["sessionId"].as_str().unwrap().to_owned();
    let answer = agent.prompt(&session, &format!("Please.\n{}", script.as_message())).unwrap();

    assert_eq!(answer["stopReason"], "end_turn");
    assert_eq!(agent.text(), "All done.");
    assert_eq!(repository.log("HEAD"), ["Made", "First"]);
    assert_eq!(repository.show_text("HEAD", "made.txt"), "changed\n");
    let requests = server.turn_requests();
    assert_eq!(requests.len(), 4);
    assert_eq!(requests[0].session.as_deref(), Some(session.as_str()));
    assert_eq!(requests[0].working_directory().as_deref(), repository.path().to_str());
    let cost = agent.of_kind("usage_update").last().unwrap()["cost"]["amount"].as_f64().unwrap();
    assert!((cost - 4.0 * 0.0006).abs() < 1e-9, "{cost}");
}
