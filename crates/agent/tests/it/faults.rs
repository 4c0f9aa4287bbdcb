//! Agents that die, babble, or speak something else: always an error in words, never a hang.

use std::path::Path;

use kugetsu_agent::{AgentError, AgentEvent, Connection};
use serde_json::{Value, json};

use crate::peer::{connected, end_turn, greeting, listening, opencode, pipe, said, text, within, words};

/// What comes of an agent that answers `initialize` in this way.
async fn greeted(answer: impl AsyncFnOnce(crate::peer::Peer, Value)) -> Result<Connection, AgentError> {
    let (ours, mut peer) = pipe();
    let (reader, writer) = tokio::io::split(ours);
    let profile = opencode();
    let answering = async {
        let (id, _) = peer.expect("initialize").await;
        answer(peer, id).await;
    };
    let (opened, ()) = within(async { tokio::join!(Connection::open(&profile, writer, reader), answering) }).await;
    opened.map(|(connection, _)| connection)
}

#[tokio::test]
async fn another_version_of_the_protocol_is_told() {
    let answer =
        |version: Value| greeted(async move |mut peer, id| peer.result(&id, json!({"protocolVersion": version})).await);
    assert!(words(answer(json!(2)).await).contains("speaks version 2 of the Agent Client Protocol"));
    assert!(words(answer(json!("1.0")).await).contains("version \"1.0\""));
    assert!(words(answer(Value::Null).await).contains("an unknown number"));
}

#[tokio::test]
async fn an_agent_that_ends_at_once_is_told() {
    let gone = greeted(async |peer, _| drop(peer)).await;
    assert!(matches!(gone, Err(AgentError::Exited { .. })), "{gone:?}");
    // One that is gone before it is spoken to.
    let (ours, peer) = pipe();
    drop(peer);
    let (reader, writer) = tokio::io::split(ours);
    let opened = within(Connection::open(&opencode(), writer, reader)).await;
    assert!(opened.is_err());
}

#[tokio::test]
async fn what_an_agent_prints_besides_is_left_out() {
    let (ours, mut peer) = pipe();
    let (reader, writer) = tokio::io::split(ours);
    let answering = async {
        peer.line("Warning: this version is old").await;
        peer.line("[1, 2]").await;
        peer.line("{\"jsonrpc\": \"2.0\", \"id\": 99, \"result\": {}}").await;
        peer.line("{\"half\": ").await;
        let (id, _) = peer.expect("initialize").await;
        peer.result(&id, greeting()).await;
    };
    let profile = opencode();
    let (opened, ()) = within(async { tokio::join!(Connection::open(&profile, writer, reader), answering) }).await;
    let (connection, mut events) = opened.unwrap();
    let Some(AgentEvent::Notice { text }) = events.try_next() else { panic!("not told") };
    assert!(text.contains("Warning: this version is old"), "{text}");
    assert!(events.try_next().is_none(), "told once");
    drop(connection);
    assert_eq!(peer.next().await, None, "no line of it was answered");
}

#[tokio::test]
async fn an_agent_that_dies_in_the_middle_of_a_turn_is_told() {
    let (connection, mut events, mut peer) = connected(&opencode()).await;
    let (session, ()) = within(async { tokio::join!(connection.new_session(Path::new("/")), peer.opens("s")) }).await;
    let session = session.unwrap();
    let dying = async {
        peer.expect("session/prompt").await;
        peer.update("s", text("m", "last words")).await;
        drop(peer);
    };
    let ((turn, ()), heard) = listening(&mut events, async { tokio::join!(session.prompt("hello"), dying) }).await;
    assert!(matches!(turn, Err(AgentError::Exited { doing: "do the task" })), "{turn:?}");
    assert_eq!(said(&heard), "last words");
    assert!(within(events.next()).await.is_none(), "the events end with the agent");
    assert!(within(session.prompt("again")).await.is_err());
}

#[tokio::test]
async fn a_message_that_is_far_too_long_is_told_and_not_kept() {
    let (connection, mut events, mut peer) = connected(&opencode()).await;
    let (session, ()) = within(async { tokio::join!(connection.new_session(Path::new("/")), peer.opens("s")) }).await;
    let session = session.unwrap();
    let babbling = async {
        peer.expect("session/prompt").await;
        while peer.write(&[b'x'; 64 * 1024]).await {}
    };
    let ((turn, ()), _) = listening(&mut events, async { tokio::join!(session.prompt("hello"), babbling) }).await;
    assert!(matches!(turn, Err(AgentError::LineTooLong { .. })), "{turn:?}");
}

#[tokio::test]
async fn a_flood_that_nobody_reads_waits_in_the_pipe() {
    let (connection, mut events, mut peer) = connected(&opencode()).await;
    let (session, ()) = within(async { tokio::join!(connection.new_session(Path::new("/")), peer.opens("s")) }).await;
    let session = session.unwrap();
    let piece = "x".repeat(8 * 1024);
    let line = json!({"jsonrpc": "2.0", "method": "session/update", "params": {"sessionId": "s", "update": text("m", &piece)}});
    let line = format!("{line}\n");
    let total = 1500;
    let written = std::cell::Cell::new(0);
    let flooding = async {
        let (id, _) = peer.expect("session/prompt").await;
        for _ in 0..total {
            assert!(peer.write(line.as_bytes()).await);
            written.set(written.get() + 1);
        }
        peer.result(&id, end_turn(1, 1)).await;
    };
    let mut working = Box::pin(async { tokio::join!(session.prompt("hello"), flooding) });
    // With nobody to take events, everything comes to rest: a fixed number of polls finds nothing more to do.
    for _ in 0..2000 {
        assert!(futures::poll!(&mut working).is_pending());
        tokio::task::yield_now().await;
    }
    assert!(written.get() < 60, "{} pieces were taken in that nobody reads", written.get());
    let (done, heard) = listening(&mut events, &mut working).await;
    drop(working);
    assert!(done.0.unwrap().is_clean());
    assert_eq!((written.get(), said(&heard).len()), (total, total * piece.len()));
}

#[tokio::test]
async fn a_model_that_fails_for_good_is_told_in_its_words() {
    let failing = async |error: Value| {
        let (connection, mut events, mut peer) = connected(&opencode()).await;
        let (session, ()) =
            within(async { tokio::join!(connection.new_session(Path::new("/")), peer.opens("s")) }).await;
        let session = session.unwrap();
        let answering = async {
            let (id, _) = peer.expect("session/prompt").await;
            peer.error(&id, error).await;
        };
        listening(&mut events, async { tokio::join!(session.prompt("hello"), answering).0 }).await.0
    };
    // As opencode 1.18.33 says it.
    let error = failing(json!({"code": -32603, "message": "Internal error: credit is used up", "data": {"service": "session", "errorName": "APIError"}})).await;
    assert!(matches!(error, Err(AgentError::Model { .. })));
    assert!(words(error).starts_with("the model did not answer: credit is used up"));
    let error = failing(json!({"code": -32603, "message": "x", "data": {"errorName": "ProviderAuthError"}})).await;
    assert!(words(error).contains("opencode auth login"));
    let error = failing(
        json!({"code": -32603, "message": "Internal error: OpenCode service failure", "data": {"service": "session"}}),
    )
    .await;
    assert_eq!(words(error), "the agent could not do the task: OpenCode service failure");
}
