//! Sessions: opened, gone on with, lost, and somebody else's.

use std::path::{Path, PathBuf};

use kugetsu_agent::{AgentError, SessionId};
use serde_json::json;

use crate::peer::{connected, listening, new_session, opencode, text, within, words};

#[tokio::test]
async fn the_directory_is_sent_without_links_and_must_be_there() {
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
    let error = words(within(connection.new_session(&real.join("nowhere"))).await);
    assert!(error.ends_with("nowhere is not a directory, so no agent can work there"), "{error}");
}

#[tokio::test]
async fn a_session_without_a_sound_id_or_without_a_model_is_none() {
    let (connection, _events, mut peer) = connected(&opencode()).await;
    for (answer, expected) in [
        (json!({}), "names no session"),
        (json!({"sessionId": "--help"}), "\"--help\" is no id of a session"),
        (json!({"sessionId": "s", "configOptions": [{"id": "model", "options": []}]}), "opencode auth login"),
    ] {
        let answering = async {
            let (id, _) = peer.expect("session/new").await;
            peer.result(&id, answer).await;
        };
        let (session, ()) = within(async { tokio::join!(connection.new_session(Path::new("/")), answering) }).await;
        let error = words(session);
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
async fn a_model_is_chosen_or_told_to_be_unknown() {
    let (connection, _events, mut peer) = connected(&opencode()).await;
    let (session, ()) = within(async { tokio::join!(connection.new_session(Path::new("/")), peer.opens("s")) }).await;
    let mut session = session.unwrap();
    let error = words(session.set_model("mock/none").await);
    assert_eq!(error, "the agent has no model \"mock/none\"; it has mock/mock-1, mock/mock-2");
    let answering = async {
        let (id, params) = peer.expect("session/set_config_option").await;
        assert_eq!(params, json!({"sessionId": "s", "configId": "model", "value": "mock/mock-2"}));
        peer.result(&id, json!({"configOptions": []})).await;
    };
    let (set, ()) = within(async { tokio::join!(session.set_model("mock/mock-2"), answering) }).await;
    set.unwrap();
    assert_eq!(session.model(), Some("mock/mock-2"));
}

/// What comes of going on with `ses_1` in `/` when the agent has these sessions.
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
                    // One a page, to be sure that pages are turned.
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
async fn a_session_is_gone_on_with_in_its_own_directory_only() {
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
async fn a_history_that_is_told_again_is_no_news() {
    let (ours, mut peer) = crate::peer::pipe();
    let (reader, writer) = tokio::io::split(ours);
    let profile = opencode();
    let greeting = async {
        let (id, _) = peer.expect("initialize").await;
        peer.result(&id, json!({"protocolVersion": 1, "agentCapabilities": {"loadSession": true}})).await;
    };
    let opening = kugetsu_agent::Connection::open(&profile, writer, reader);
    let (opened, ()) = within(async { tokio::join!(opening, greeting) }).await;
    let (connection, mut events) = opened.unwrap();
    assert_eq!(connection.info().name, "opencode", "an agent that says no name is called by its profile's");
    let id = SessionId::new("ses_1").unwrap();
    let loading = async {
        let (request, _) = peer.expect("session/load").await;
        for n in 0..200 {
            peer.update("ses_1", text(&format!("m{n}"), "old words")).await;
        }
        peer.result(&request, json!({})).await;
    };
    let (session, ()) = within(async { tokio::join!(connection.resume_session(&id, Path::new("/")), loading) }).await;
    let session = session.unwrap();
    assert!(events.try_next().is_none());
    // It is news again afterwards, and what the session had cost before is not this turn's.
    let answering = async {
        let (request, _) = peer.expect("session/prompt").await;
        peer.update("ses_1", text("m", "new words")).await;
        peer.update(
            "ses_1",
            json!({"sessionUpdate": "usage_update", "used": 1, "size": 2, "cost": {"amount": 5.0, "currency": "USD"}}),
        )
        .await;
        peer.result(&request, crate::peer::end_turn(10, 1)).await;
    };
    let ((turn, ()), heard) = listening(&mut events, async { tokio::join!(session.prompt("go on"), answering) }).await;
    assert_eq!(crate::peer::said(&heard), "new words");
    assert_eq!(turn.unwrap().usage.cost_usd, None);
    // Lost by the words that opencode has for it.
    let losing = async {
        let (request, _) = peer.expect("session/load").await;
        let error = json!({"code": -32603, "message": "Internal error: OpenCode service failure", "data": {"service": "session"}});
        peer.error(&request, error).await;
    };
    let (lost, ()) = within(async { tokio::join!(connection.resume_session(&id, Path::new("/")), losing) }).await;
    assert!(matches!(lost, Err(AgentError::SessionLost { .. })), "{lost:?}");
}
