//! Agents that exit, print other things, or speak another protocol lead to an error, never to a hang.

use std::path::Path;
use std::task::{Context, Waker};

use kugetsu_agent::{AgentError, AgentEvent, Connection, SessionOptions};
use serde_json::{Value, json};

use crate::peer::{Peer, collecting, connected, end_turn, initialized, message, opencode, pipe, text, text_of, within};

/// Opens a connection to an agent that responds to `initialize` in this way.
async fn opened(answer: impl AsyncFnOnce(Peer, Value)) -> Result<Connection, AgentError> {
    let (ours, mut peer) = pipe();
    let (reader, writer) = tokio::io::split(ours);
    let profile = opencode();
    let answering = async {
        let (id, _) = peer.expect("initialize").await;
        answer(peer, id).await;
    };
    let (opened, ()) = within(async {
        tokio::join!(Connection::open(&profile, SessionOptions::default(), writer, reader), answering)
    })
    .await;
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
    let opened = within(Connection::open(&opencode(), SessionOptions::default(), writer, reader)).await;
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
    let (opened, ()) = within(async {
        tokio::join!(Connection::open(&profile, SessionOptions::default(), writer, reader), answering)
    })
    .await;
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

#[tokio::test(start_paused = true)]
async fn agent_that_asks_and_reads_no_answers_is_given_up() {
    let (connection, _events, mut peer) = connected(&opencode()).await;
    let asking = async {
        let mut requests = 0;
        while peer.write(format!("{}\n", json!({"jsonrpc": "2.0", "id": requests, "method": "x"})).as_bytes()).await {
            requests += 1;
        }
        requests
    };
    let (opened, requests) = tokio::join!(connection.new_session(Path::new("/")), asking);
    assert!(matches!(opened, Err(AgentError::Unread { .. })), "{opened:?}");
    assert!(requests < 10_000, "{requests} requests were read");
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

#[tokio::test]
async fn output_of_an_agent_that_closed_its_input_is_read() {
    // Two pipes, so that one can be closed alone.
    let (our_input, their_output) = tokio::io::duplex(64 * 1024);
    let (our_output, their_input) = tokio::io::duplex(64 * 1024);
    let profile = opencode();
    let mut peer = Peer::of(their_input, their_output);
    let answering = async {
        let (id, _) = peer.expect("initialize").await;
        peer.result(&id, initialized()).await;
    };
    let (opened, ()) = within(async {
        tokio::join!(Connection::open(&profile, SessionOptions::default(), our_output, our_input), answering)
    })
    .await;
    let (connection, mut events) = opened.unwrap();
    let (session, ()) = within(async { tokio::join!(connection.new_session(Path::new("/")), peer.opens("s")) }).await;
    let session = session.unwrap();
    let answering = async {
        let (id, _) = peer.expect("session/prompt").await;
        peer.close_input();
        // Something is sent while nothing can be.
        connection.cancel();
        tokio::task::yield_now().await;
        peer.update("s", text("m", "the rest")).await;
        peer.result(&id, end_turn(1, 1)).await;
        peer
    };
    let ((turn, peer), seen) =
        collecting(&mut events, async { tokio::join!(session.prompt("hello"), answering) }).await;
    assert!(turn.unwrap().is_clean());
    assert_eq!(text_of(&seen), "the rest");
    let again = within(session.prompt("again")).await;
    assert_eq!(message(again), "the agent closed its input while kugetsu waited for it to do the task");
    drop(peer);
}

#[tokio::test]
async fn agent_that_asks_without_reading_the_answers_waits() {
    let (connection, mut events, mut peer) = connected(&opencode()).await;
    let (session, ()) = within(async { tokio::join!(connection.new_session(Path::new("/")), peer.opens("s")) }).await;
    let session = session.unwrap();
    let requests = std::cell::Cell::new(0);
    let asking = async {
        peer.expect("session/prompt").await;
        for id in 0.. {
            let question = json!({"jsonrpc": "2.0", "id": format!("{id}{}", "x".repeat(1000)), "method": "fs/read"});
            if !peer.write(format!("{question}\n").as_bytes()).await {
                break;
            }
            requests.set(id);
        }
    };
    let mut working = Box::pin(async { tokio::join!(session.prompt("hello"), asking) });
    for _ in 0..20_000 {
        assert!(working.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        tokio::task::yield_now().await;
    }
    // The answers that wait, and what fits into the two pipes.
    assert!(requests.get() < 600, "{} questions were read although no answer was", requests.get());
    assert!(events.try_next().is_none());
}

#[tokio::test]
async fn impossible_numbers_of_an_agent_are_bounded() {
    let (connection, mut events, mut peer) = connected(&opencode()).await;
    let (session, ()) = within(async { tokio::join!(connection.new_session(Path::new("/")), peer.opens("s")) }).await;
    let session = session.unwrap();
    let answering = async {
        let (id, _) = peer.expect("session/prompt").await;
        peer.update("s", text("m", "hello")).await;
        for amount in [json!(-1), json!(1e308), json!(2)] {
            let cost = json!({"amount": amount, "currency": "USD"});
            peer.update("s", json!({"sessionUpdate": "usage_update", "used": 1_u64 << 63, "size": -1, "cost": cost}))
                .await;
        }
        peer.result(&id, end_turn(1 << 63, u64::MAX)).await;
    };
    let ((turn, ()), seen) = collecting(&mut events, async { tokio::join!(session.prompt("hello"), answering) }).await;
    let usage = turn.unwrap().usage;
    assert!(i64::try_from(usage.tokens.unwrap().total()).is_ok(), "{usage:?}");
    assert_eq!(usage.cost_usd, Some(2.0));
    for event in seen {
        if let AgentEvent::Usage { cost_usd, context_used, context_size } = event {
            assert!(i64::try_from(context_used + context_size).is_ok());
            assert!(cost_usd.is_none_or(|cost| cost.is_finite() && cost >= 0.0), "{cost_usd:?}");
        }
    }
}

#[tokio::test]
async fn session_id_that_cannot_be_used_is_an_error_that_says_why() {
    let (connection, _events, mut peer) = connected(&opencode()).await;
    for id in ["", "a b", "--all", &"x".repeat(1 << 20)] {
        let opening = async { tokio::join!(connection.new_session(Path::new("/")), peer.opens(id)).0.map(drop) };
        let error = within(opening).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("expected 1 to 256 visible ASCII characters") && text.len() < 400, "{text}");
        assert!(error.hint().is_some());
    }
}
