//! Agents that exit, print other things, or speak another protocol lead to an error, never to a hang.

use std::path::Path;
use std::task::{Context, Waker};

use kugetsu_agent::{AgentError, AgentEvent, Connection};
use serde_json::{Value, json};

use crate::peer::{collecting, connected, end_turn, initialized, message, opencode, pipe, text, text_of, within};

/// Opens a connection to an agent that responds to `initialize` in this way.
async fn opened(answer: impl AsyncFnOnce(crate::peer::Peer, Value)) -> Result<Connection, AgentError> {
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
async fn other_protocol_version_is_an_error() {
    let answer =
        |version: Value| opened(async move |mut peer, id| peer.result(&id, json!({"protocolVersion": version})).await);
    assert!(message(answer(json!(2)).await).contains("speaks version 2 of the Agent Client Protocol"));
    assert!(message(answer(json!("1.0")).await).contains("version \"1.0\""));
    assert!(message(answer(Value::Null).await).contains("version unknown"));
}

#[tokio::test]
async fn early_exit_is_an_error() {
    let exited = opened(async |peer, _| drop(peer)).await;
    assert!(matches!(exited, Err(AgentError::Exited { .. })), "{exited:?}");
    // The same before the first message.
    let (ours, peer) = pipe();
    drop(peer);
    let (reader, writer) = tokio::io::split(ours);
    let opened = within(Connection::open(&opencode(), writer, reader)).await;
    assert!(opened.is_err());
}

#[tokio::test]
async fn lines_that_are_not_messages_are_skipped() {
    let (ours, mut peer) = pipe();
    let (reader, writer) = tokio::io::split(ours);
    let answering = async {
        peer.line("Warning: this version is old").await;
        peer.line("[1, 2]").await;
        peer.line("{\"jsonrpc\": \"2.0\", \"id\": 99, \"result\": {}}").await;
        peer.line("{\"half\": ").await;
        let (id, _) = peer.expect("initialize").await;
        peer.result(&id, initialized()).await;
    };
    let profile = opencode();
    let (opened, ()) = within(async { tokio::join!(Connection::open(&profile, writer, reader), answering) }).await;
    let (connection, mut events) = opened.unwrap();
    let Some(AgentEvent::Notice { text }) = events.try_next() else { panic!("no notice") };
    assert!(text.contains("Warning: this version is old"), "{text}");
    assert!(events.try_next().is_none(), "one notice is enough");
    drop(connection);
    assert_eq!(peer.next().await, None, "no line was answered");
}

#[tokio::test]
async fn exit_during_a_turn_is_an_error() {
    let (connection, mut events, mut peer) = connected(&opencode()).await;
    let (session, ()) = within(async { tokio::join!(connection.new_session(Path::new("/")), peer.opens("s")) }).await;
    let session = session.unwrap();
    let exiting = async {
        peer.expect("session/prompt").await;
        peer.update("s", text("m", "last words")).await;
        drop(peer);
    };
    let ((turn, ()), seen) = collecting(&mut events, async { tokio::join!(session.prompt("hello"), exiting) }).await;
    assert!(matches!(turn, Err(AgentError::Exited { doing: "do the task" })), "{turn:?}");
    assert_eq!(text_of(&seen), "last words");
    assert!(within(events.next()).await.is_none(), "the events end with the agent");
    assert!(within(session.prompt("again")).await.is_err());
}

#[tokio::test]
async fn message_that_is_too_long_is_an_error() {
    let (connection, mut events, mut peer) = connected(&opencode()).await;
    let (session, ()) = within(async { tokio::join!(connection.new_session(Path::new("/")), peer.opens("s")) }).await;
    let session = session.unwrap();
    let flooding = async {
        peer.expect("session/prompt").await;
        while peer.write(&[b'x'; 64 * 1024]).await {}
    };
    let ((turn, ()), _) = collecting(&mut events, async { tokio::join!(session.prompt("hello"), flooding) }).await;
    assert!(matches!(turn, Err(AgentError::MessageTooLong { .. })), "{turn:?}");
}

#[tokio::test]
async fn flood_waits_in_the_pipe_until_events_are_taken() {
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
    // While no events are taken, the transfer comes to a stop after a bounded number of polls.
    for _ in 0..2000 {
        assert!(working.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        tokio::task::yield_now().await;
    }
    assert!(written.get() < 60, "{} messages were read although no events were taken", written.get());
    let (done, seen) = collecting(&mut events, &mut working).await;
    drop(working);
    assert!(done.0.unwrap().is_clean());
    assert_eq!((written.get(), text_of(&seen).len()), (total, total * piece.len()));
}

#[tokio::test]
async fn model_error_quotes_the_provider() {
    let failing = async |error: Value| {
        let (connection, mut events, mut peer) = connected(&opencode()).await;
        let (session, ()) =
            within(async { tokio::join!(connection.new_session(Path::new("/")), peer.opens("s")) }).await;
        let session = session.unwrap();
        let answering = async {
            let (id, _) = peer.expect("session/prompt").await;
            peer.error(&id, error).await;
        };
        collecting(&mut events, async { tokio::join!(session.prompt("hello"), answering).0 }).await.0
    };
    // As reported by opencode 1.18.33.
    let error = failing(json!({"code": -32603, "message": "Internal error: credit is used up", "data": {"service": "session", "errorName": "APIError"}})).await;
    assert!(matches!(error, Err(AgentError::Model { .. })));
    assert_eq!(message(error), "the model request failed: credit is used up");
    let error = failing(json!({"code": -32603, "message": "x", "data": {"errorName": "ProviderAuthError"}})).await;
    assert!(error.unwrap_err().hint().unwrap().contains("opencode auth login"));
    let error = failing(
        json!({"code": -32603, "message": "Internal error: OpenCode service failure", "data": {"service": "session"}}),
    )
    .await;
    assert_eq!(message(error), "the agent could not do the task: OpenCode service failure");
}
