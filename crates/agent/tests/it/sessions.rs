//! Sessions that are opened, continued, lost, or in another directory.

use std::path::{Path, PathBuf};

use kugetsu_agent::{AgentError, SessionId};
use serde_json::json;

use crate::peer::{collecting, connected, message, new_session, opencode, text, within};

#[tokio::test]
async fn directory_is_sent_without_links_and_must_exist() {
    let home = tempfile::tempdir().unwrap();
    let real = home.path().canonicalize().unwrap();
    std::fs::create_dir(real.join("tree")).unwrap();
    std::os::unix::fs::symlink(real.join("tree"), real.join("link")).unwrap();
    let (connection, _events, mut peer) = connected(&opencode()).await;
    let opening = async {
        let (id, params) = peer.expect("session/new").await;
        assert_eq!(params["cwd"], real.join("tree").to_str().unwrap());
        peer.result(&id, new_session("ses_1")).await;
    };
    let link = real.join("link");
    let (session, ()) = within(async { tokio::join!(connection.new_session(&link), opening) }).await;
    session.unwrap();
    let error = message(within(connection.new_session(&real.join("missing"))).await);
    assert!(error.ends_with("missing: it is not a directory"), "{error}");
}

#[tokio::test]
async fn session_without_a_valid_id_or_without_a_model_is_an_error() {
    let (connection, _events, mut peer) = connected(&opencode()).await;
    for (answer, expected) in [
        (json!({}), "it has no session id"),
        (json!({"sessionId": "--help"}), "the session id \"--help\" cannot be used"),
        (json!({"sessionId": "s", "configOptions": [{"id": "model", "options": []}]}), "the agent has no model"),
    ] {
        let answering = async {
            let (id, _) = peer.expect("session/new").await;
            peer.result(&id, answer).await;
        };
        let (session, ()) = within(async { tokio::join!(connection.new_session(Path::new("/")), answering) }).await;
        let error = message(session);
        assert!(error.contains(expected), "{error}");
    }
    let refusing = async {
        let (id, _) = peer.expect("session/new").await;
        peer.error(&id, json!({"code": -32000, "message": "Authentication required"})).await;
    };
    let (session, ()) = within(async { tokio::join!(connection.new_session(Path::new("/")), refusing) }).await;
    assert!(matches!(session, Err(AgentError::NotLoggedIn { .. })));
}

#[tokio::test]
async fn model_is_chosen_or_unknown() {
    let (connection, _events, mut peer) = connected(&opencode()).await;
    let (session, ()) = within(async { tokio::join!(connection.new_session(Path::new("/")), peer.opens("s")) }).await;
    let mut session = session.unwrap();
    let error = session.set_model("mock/none").await.unwrap_err();
    assert_eq!(error.to_string(), "the agent has no model \"mock/none\"");
    assert_eq!(error.hint().unwrap(), "use one of its models: mock/mock-1, mock/mock-2");
    let answering = async {
        let (id, params) = peer.expect("session/set_config_option").await;
        assert_eq!(params, json!({"sessionId": "s", "configId": "model", "value": "mock/mock-2"}));
        peer.result(&id, json!({"configOptions": []})).await;
    };
    let (set, ()) = within(async { tokio::join!(session.set_model("mock/mock-2"), answering) }).await;
    set.unwrap();
    assert_eq!(session.model(), Some("mock/mock-2"));
}

/// Continues `ses_1` in `/` with an agent that has these sessions.
async fn resumed(sessions: &[(&str, &str)]) -> Result<String, AgentError> {
    let (connection, _events, mut peer) = connected(&opencode()).await;
    let id = SessionId::new("ses_1").unwrap();
    let answering = async {
        loop {
            let Some(message) = peer.next().await else { return };
            let params = &message["params"];
            match message["method"].as_str().unwrap() {
                "session/list" => {
                    let here =
                        sessions.iter().filter(|(_, cwd)| params["cwd"].as_str().is_none_or(|wanted| wanted == *cwd));
                    let list: Vec<_> = here.map(|(id, cwd)| json!({"sessionId": id, "cwd": cwd})).collect();
                    // One session per page, so that the client has to turn pages.
                    let page = params["cursor"].as_str().map_or(0, |cursor| cursor.parse().unwrap());
                    let mut answer = json!({"sessions": list.get(page).into_iter().collect::<Vec<_>>()});
                    if page + 1 < list.len() {
                        answer["nextCursor"] = (page + 1).to_string().into();
                    }
                    peer.result(&message["id"], answer).await;
                }
                "session/resume" => {
                    assert_eq!(params["sessionId"], "ses_1");
                    peer.result(&message["id"], json!({"configOptions": []})).await;
                }
                other => panic!("{other}"),
            }
        }
    };
    let resuming = async {
        let resumed = connection.resume_session(&id, Path::new("/")).await.map(|session| session.id().to_string());
        drop(connection);
        resumed
    };
    within(async { tokio::join!(resuming, answering) }).await.0
}

#[tokio::test]
async fn session_is_continued_only_in_its_own_directory() {
    assert_eq!(resumed(&[("ses_0", "/"), ("ses_1", "/")]).await.unwrap(), "ses_1");
    match resumed(&[("ses_0", "/"), ("ses_2", "/tmp"), ("ses_1", "/usr")]).await {
        Err(AgentError::WrongDirectory { theirs, wanted, .. }) => {
            assert_eq!((theirs, wanted), (PathBuf::from("/usr"), PathBuf::from("/")));
        }
        other => panic!("{other:?}"),
    }
    let lost = resumed(&[("ses_0", "/")]).await;
    assert!(matches!(lost, Err(AgentError::SessionLost { ref id }) if id == "ses_1"), "{lost:?}");
}

#[tokio::test]
async fn replayed_history_causes_no_events() {
    let (ours, mut peer) = crate::peer::pipe();
    let (reader, writer) = tokio::io::split(ours);
    let profile = opencode();
    let initializing = async {
        let (id, _) = peer.expect("initialize").await;
        peer.result(&id, json!({"protocolVersion": 1, "agentCapabilities": {"loadSession": true}})).await;
    };
    let opening = kugetsu_agent::Connection::open(&profile, kugetsu_agent::SessionOptions::default(), writer, reader);
    let (opened, ()) = within(async { tokio::join!(opening, initializing) }).await;
    let (connection, mut events) = opened.unwrap();
    assert_eq!(connection.info().name, "opencode", "an agent without a name has that of its profile");
    let id = SessionId::new("ses_1").unwrap();
    let loading = async {
        let (request, _) = peer.expect("session/load").await;
        for n in 0..200 {
            peer.update("ses_1", text(&format!("m{n}"), "old text")).await;
        }
        peer.result(&request, json!({})).await;
    };
    let (session, ()) = within(async { tokio::join!(connection.resume_session(&id, Path::new("/")), loading) }).await;
    let session = session.unwrap();
    assert!(events.try_next().is_none());
    // Later updates cause events, and earlier costs of the session are not those of this turn.
    let answering = async {
        let (request, _) = peer.expect("session/prompt").await;
        peer.update("ses_1", text("m", "new text")).await;
        peer.update(
            "ses_1",
            json!({"sessionUpdate": "usage_update", "used": 1, "size": 2, "cost": {"amount": 5.0, "currency": "USD"}}),
        )
        .await;
        peer.result(&request, crate::peer::end_turn(10, 1)).await;
    };
    let ((turn, ()), seen) =
        collecting(&mut events, async { tokio::join!(session.prompt("continue"), answering) }).await;
    assert_eq!(crate::peer::text_of(&seen), "new text");
    assert_eq!(turn.unwrap().usage.cost_usd, None);
    // The response of opencode for a lost session.
    let responding = async {
        let (request, _) = peer.expect("session/load").await;
        let error = json!({"code": -32603, "message": "Internal error: OpenCode service failure", "data": {"service": "session"}});
        peer.error(&request, error).await;
    };
    let (lost, ()) = within(async { tokio::join!(connection.resume_session(&id, Path::new("/")), responding) }).await;
    assert!(matches!(lost, Err(AgentError::SessionLost { .. })), "{lost:?}");
    // Any other failure leaves the session where it is.
    for (response, reported) in [
        (json!({"code": -32603, "message": "Internal error: Model not found: a/b"}), "Model not found: a/b"),
        (
            json!({"code": -32603, "message": "Internal error", "data": {"details": "command not found: mcp-x"}}),
            "Internal error: command not found: mcp-x",
        ),
    ] {
        let responding = async {
            let (request, _) = peer.expect("session/load").await;
            peer.error(&request, response).await;
        };
        let resuming = connection.resume_session(&id, Path::new("/"));
        let failed = within(async { tokio::join!(resuming, responding) }).await.0.unwrap_err();
        assert_eq!(failed.to_string(), format!("the agent could not continue a session: {reported}"));
        assert!(failed.hint().is_some());
    }
}
