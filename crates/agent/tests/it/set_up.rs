//! Opened sessions get the permission policy, and a login.

use std::path::Path;

use kugetsu_agent::{AgentError, Policy, Profile, SessionId, SessionOptions, profile};
use serde_json::{Value, json};

use crate::peer::{Peer, connected, connected_with, initialized, message, within};

fn agent(name: &str) -> Profile {
    profile(name, &[]).unwrap()
}

fn options(policy: Policy) -> SessionOptions {
    SessionOptions { policy, ..SessionOptions::default() }
}

/// The response to `session/new` of an agent with these modes.
fn with_modes(modes: &[&str]) -> Value {
    let modes: Vec<Value> = modes.iter().map(|mode| json!({"id": mode, "name": mode})).collect();
    json!({"sessionId": "s", "modes": {"currentModeId": "auto", "availableModes": modes}})
}

/// Opens a session, and returns its notice or the error.
async fn opened(
    agent: &str,
    options: SessionOptions,
    responding: impl AsyncFnOnce(&mut Peer),
) -> Result<Option<String>, AgentError> {
    let (connection, _events, mut peer) = connected_with(&self::agent(agent), options, initialized()).await;
    let opening = connection.new_session(Path::new("/"));
    let (session, ()) = within(async { tokio::join!(opening, responding(&mut peer)) }).await;
    session.map(|session| session.notice().map(str::to_owned))
}

#[tokio::test]
async fn policy_becomes_the_mode_of_the_session() {
    for (name, policy, mode) in [
        ("claude", Policy::Allow, "bypassPermissions"),
        ("claude", Policy::Ask, "default"),
        ("claude", Policy::Refuse, "default"),
        ("codex", Policy::Allow, "agent-full-access"),
        ("codex", Policy::Refuse, "read-only"),
        ("vibe", Policy::Allow, "auto-approve"),
    ] {
        let responding = async |peer: &mut Peer| {
            let (id, _) = peer.expect("session/new").await;
            peer.result(&id, with_modes(&["auto", mode])).await;
            let (id, params) = peer.expect("session/set_mode").await;
            assert_eq!(params, json!({"sessionId": "s", "modeId": mode}));
            peer.result(&id, json!({})).await;
        };
        assert_eq!(opened(name, options(policy), responding).await.unwrap(), None);
    }
}

#[tokio::test]
async fn policy_becomes_an_option_of_the_session() {
    let responding = async |peer: &mut Peer| {
        let (id, _) = peer.expect("session/new").await;
        peer.result(&id, json!({"sessionId": "s"})).await;
        let (id, params) = peer.expect("session/set_config_option").await;
        assert_eq!(params, json!({"sessionId": "s", "configId": "allow_all", "value": "off"}));
        peer.result(&id, json!({})).await;
    };
    assert_eq!(opened("copilot", options(Policy::Refuse), responding).await.unwrap(), None);
}

#[tokio::test]
async fn session_without_trailers_gets_settings_if_the_agent_takes_them_from_there() {
    for (name, without_trailers, expected) in [
        ("claude", true, json!({"claudeCode": {"options": {"settings": {"attribution": {"commit": "", "pr": ""}}}}})),
        ("claude", false, Value::Null),
        ("opencode", true, Value::Null),
    ] {
        let responding = async |peer: &mut Peer| {
            let (id, params) = peer.expect("session/new").await;
            assert_eq!(params["_meta"], expected, "{name}");
            peer.error(&id, json!({"code": -32603, "message": "enough"})).await;
        };
        let options = SessionOptions { without_trailers, ..SessionOptions::default() };
        opened(name, options, responding).await.unwrap_err();
    }
}

#[tokio::test]
async fn policy_that_cannot_be_applied_is_an_error_if_it_restricts_the_agent() {
    let without = async |peer: &mut Peer| {
        let (id, _) = peer.expect("session/new").await;
        peer.result(&id, with_modes(&["auto", "new-mode"])).await;
    };
    let error = message(opened("claude", options(Policy::Refuse), without).await);
    assert_eq!(error, "the agent has no mode \"default\", which agent.permissions needs; it has auto, new-mode");
    let notice = opened("claude", options(Policy::Allow), without).await.unwrap().unwrap();
    assert!(notice.contains("\"bypassPermissions\""), "{notice}");

    let refusing = async |peer: &mut Peer| {
        let (id, _) = peer.expect("session/new").await;
        peer.result(&id, with_modes(&["default"])).await;
        let (id, _) = peer.expect("session/set_mode").await;
        peer.error(&id, json!({"code": -32603, "message": "Internal error"})).await;
    };
    let error = message(opened("claude", options(Policy::Ask), refusing).await);
    assert!(error.starts_with("the agent could not apply agent.permissions"), "{error}");
}

#[tokio::test]
async fn mode_of_a_resumed_session_is_set_again() {
    let (connection, _events, mut peer) = connected(&agent("qwen")).await;
    let id = SessionId::new("s").unwrap();
    let responding = async {
        let (id, _) = peer.expect("session/list").await;
        peer.result(&id, json!({"sessions": [{"sessionId": "s", "cwd": "/"}]})).await;
        let (id, _) = peer.expect("session/resume").await;
        peer.result(&id, json!({})).await;
        let (id, params) = peer.expect("session/set_mode").await;
        assert_eq!(params["modeId"], "yolo");
        peer.result(&id, json!({})).await;
    };
    let (session, ()) =
        within(async { tokio::join!(connection.resume_session(&id, Path::new("/")), responding) }).await;
    session.unwrap();
}

#[tokio::test]
async fn agent_is_logged_in_by_the_method_that_fits() {
    let mut offering = initialized();
    offering["authMethods"] = json!([{"id": "chat-gpt"}, {"id": "api-key"}]);
    let refused = async |peer: &mut Peer| {
        let (id, _) = peer.expect("session/new").await;
        peer.error(&id, json!({"code": -32000, "message": "Authentication required"})).await;
    };
    let with_key = SessionOptions { login_method: Some("api-key"), ..options(Policy::Allow) };
    let (connection, _events, mut peer) = connected_with(&agent("codex"), with_key.clone(), offering).await;
    let responding = async {
        refused(&mut peer).await;
        let (id, params) = peer.expect("authenticate").await;
        assert_eq!(params, json!({"methodId": "api-key"}));
        peer.result(&id, json!({})).await;
        let (id, _) = peer.expect("session/new").await;
        peer.result(&id, json!({"sessionId": "s"})).await;
        let (id, _) = peer.expect("session/set_mode").await;
        peer.result(&id, json!({})).await;
    };
    let (session, ()) = within(async { tokio::join!(connection.new_session(Path::new("/")), responding) }).await;
    session.unwrap();

    // No variable is set, or the agent does not offer the method.
    for options in [options(Policy::Allow), with_key] {
        let error = opened("codex", options, refused).await.unwrap_err();
        assert_eq!(error.hint().unwrap(), "run `codex-acp login`");
    }
}

#[tokio::test]
async fn session_is_deleted_by_agents_that_can_do_that() {
    let id = SessionId::new("s").unwrap();
    let (connection, _events, _peer) = connected(&agent("claude")).await;
    assert!(message(connection.delete_session(&id).await).contains("does not support deleting sessions"));
    let mut offering = initialized();
    offering["agentCapabilities"]["sessionCapabilities"]["delete"] = json!({});
    let (connection, _events, mut peer) = connected_with(&agent("claude"), SessionOptions::default(), offering).await;
    let responding = async {
        let (id, params) = peer.expect("session/delete").await;
        assert_eq!(params, json!({"sessionId": "s"}));
        peer.result(&id, json!({})).await;
    };
    let (deleted, ()) = within(async { tokio::join!(connection.delete_session(&id), responding) }).await;
    deleted.unwrap();
}
